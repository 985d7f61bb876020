//! Conversion of the component's reports about sessions and tokens to the types of the contract.

use tessera_contract::{Claims, Details, Grant, KeepFields, SessionPage, SessionSummary, Status, Timestamp};

use crate::bindings::wit;
use tessera_contract::form;

pub(crate) fn details(details: wit::Details) -> Details {
    Details {
        status: Status::Live,
        public_id: details.public_id,
        subject: details.subject,
        created_at: Timestamp::from_millis(details.created_at),
        authenticated_at: details.authenticated_at.map(Timestamp::from_millis),
        expires_at: Timestamp::from_millis(details.expires_at),
        ends_at: Timestamp::from_millis(details.ends_at),
        generation: details.generation,
        touch_due: details.touch_due,
        renew_due: details.renew_due,
        reissue_due: details.reissue_due,
        modified: false,
    }
}

pub(crate) fn grant(grant: wit::Grant) -> Grant {
    Grant {
        token: grant.token,
        expires_at: Timestamp::from_millis(grant.expires_at),
        ends_at: Timestamp::from_millis(grant.ends_at),
    }
}

pub(crate) fn claims(claims: wit::Claims) -> Claims {
    Claims {
        public_id: claims.public_id,
        generation: claims.generation,
        issued_at: Timestamp::from_millis(claims.issued_at),
        expires_at: Timestamp::from_millis(claims.expires_at),
        subject: claims.subject,
        data: claims.data.into_iter().collect(),
    }
}

pub(crate) fn page(page: wit::Summaries) -> SessionPage {
    let item = |item: wit::Summary| SessionSummary {
        public_id: item.public_id,
        created_at: Timestamp::from_millis(item.created_at),
        authenticated_at: Timestamp::from_millis(item.authenticated_at),
        last_seen_at: Timestamp::from_millis(item.last_seen_at),
        expires_at: Timestamp::from_millis(item.expires_at),
        ends_at: Timestamp::from_millis(item.ends_at),
        current: item.current,
        // The engine always writes an object.
        fields: form::members(&item.fields)
            .unwrap_or_default()
            .into_iter()
            .collect(),
    };
    SessionPage {
        items: page.items.into_iter().map(item).collect(),
        next: page.next,
    }
}

pub(crate) fn keep(keep: &KeepFields) -> wit::KeepFields {
    match keep {
        KeepFields::Nothing => wit::KeepFields::Nothing,
        KeepFields::Everything => wit::KeepFields::Everything,
        KeepFields::Named(names) => wit::KeepFields::Named(names.clone()),
    }
}
