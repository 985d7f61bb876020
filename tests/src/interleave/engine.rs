//! The engine of a client: the calls that its program makes.

use std::collections::BTreeMap;

use tessera::{Grant, Session, SessionError, Sessions};

use super::calls::Told;

/// The engine of a client. An error is the result of the call in the terms of the model.
#[expect(
    async_fn_in_trait,
    reason = "a trait of the tests, whose scheduler polls each client in one thread"
)]
pub trait Engine: Clone + 'static {
    /// A session.
    type Session;

    /// Creates a draft.
    async fn create(&self) -> Result<Self::Session, Told>;
    /// Opens the session of a token.
    async fn open(&self, token: &str) -> Result<Self::Session, Told>;
    /// The public id in a token, whose session may have ended.
    async fn public_id(&self, token: &str) -> Option<String>;
    /// Ends a session; returns whether it existed.
    async fn revoke(&self, subject: &str, public_id: &str) -> Result<bool, Told>;
    /// Ends all sessions of a subject.
    async fn revoke_all(&self, subject: &str) -> Result<(), Told>;

    /// The subject and the fields of a session.
    async fn seen(&self, session: &Self::Session) -> Told;
    /// The subject of a session.
    async fn subject(&self, session: &Self::Session) -> Option<String>;
    /// Sets a field.
    async fn set(&self, session: &Self::Session, name: &str, value: &str) -> Result<(), Told>;
    /// Saves, and returns the token if one was issued.
    async fn save(&self, session: &Self::Session) -> Result<Option<String>, Told>;
    /// Renews the token.
    async fn rotate(&self, session: &Self::Session) -> Result<Option<String>, Told>;
    /// Logs a subject in.
    async fn authenticate(&self, session: &Self::Session, subject: &str) -> Result<Option<String>, Told>;
    /// Confirms a token.
    async fn touch(&self, session: &Self::Session) -> Result<(), Told>;
    /// Logs out.
    async fn destroy(&self, session: &Self::Session) -> Result<(), Told>;
}

fn token(granted: Result<Grant, SessionError>) -> Result<Option<String>, Told> {
    granted.map(|grant| grant.token).map_err(|error| refused(&error))
}

impl Engine for Sessions {
    type Session = Session;

    async fn create(&self) -> Result<Session, Told> {
        Ok(Self::create(self))
    }

    async fn open(&self, token: &str) -> Result<Session, Told> {
        Self::open(self, token).await.map_err(|error| refused(&error))
    }

    async fn public_id(&self, token: &str) -> Option<String> {
        self.verify(token, None).ok().map(|claims| claims.public_id)
    }

    async fn revoke(&self, subject: &str, public_id: &str) -> Result<bool, Told> {
        let revoked = Self::revoke(self, subject, public_id).await;
        revoked.map_err(|error| refused(&error))
    }

    async fn revoke_all(&self, subject: &str) -> Result<(), Told> {
        let revoked = Self::revoke_all(self, subject).await;
        revoked.map(drop).map_err(|error| refused(&error))
    }

    async fn seen(&self, session: &Session) -> Told {
        seen(session)
    }

    async fn subject(&self, session: &Session) -> Option<String> {
        session.subject().unwrap_or_default()
    }

    async fn set(&self, session: &Session, name: &str, value: &str) -> Result<(), Told> {
        session.set(name, value).map_err(|error| refused(&error))
    }

    async fn save(&self, session: &Session) -> Result<Option<String>, Told> {
        token(session.save().await)
    }

    async fn rotate(&self, session: &Session) -> Result<Option<String>, Told> {
        token(session.rotate().await)
    }

    async fn authenticate(&self, session: &Session, subject: &str) -> Result<Option<String>, Told> {
        token(session.authenticate(subject).await)
    }

    async fn touch(&self, session: &Session) -> Result<(), Told> {
        session.touch().await.map(drop).map_err(|error| refused(&error))
    }

    async fn destroy(&self, session: &Session) -> Result<(), Told> {
        session.destroy().await.map_err(|error| refused(&error))
    }
}

/// The result of an open: the session's subject and fields.
pub fn seen(session: &Session) -> Told {
    let read = || -> Result<Told, SessionError> {
        let subject = session.subject()?;
        let fields = session.entries()?.into_iter().map(|(name, value)| match value {
            tessera::Value::Text(text) => (name, text),
            other => (name, format!("{other:?}")),
        });
        let fields: BTreeMap<_, _> = fields.collect();
        Ok(Told::Opened { subject, fields })
    };
    read().unwrap_or_else(|error| Told::Odd(error.to_string()))
}

/// Converts an error to a result of the model.
pub fn refused(error: &SessionError) -> Told {
    match error {
        // A handle that one of its own calls has closed returns `Closed`.
        SessionError::Missing | SessionError::Closed => Told::Missing,
        SessionError::Replaced => Told::Replaced,
        SessionError::Reused => Told::Reused,
        SessionError::TooManySessions => Told::TooMany,
        SessionError::Contended => Told::Contended,
        SessionError::Unavailable { .. } => Told::Unavailable,
        SessionError::InstanceLost { .. } => Told::InstanceLost,
        SessionError::OutcomeUnknown { .. } => Told::Unknown,
        other => Told::Odd(other.to_string()),
    }
}
