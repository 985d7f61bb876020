//! What a call answers, as the model foretells it and as both fixtures tell it.

use tessera::{SessionError, Status, Value};

/// A listed session: which record, whether it is the caller's own, and its public fields.
pub(crate) type Row = (usize, bool, Vec<(String, Value)>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Done,
    /// A handle, which is held from now on.
    Handle,
    /// There was nothing to call it on.
    Skipped,
    Was(bool),
    Count(u64),
    Value(Option<Value>),
    Popped(Option<i64>),
    Entries(Vec<(String, Value)>),
    Json(String),
    /// The generation of the token that was handed out.
    Granted(Option<u32>),
    Claimed {
        generation: u32,
        record: usize,
    },
    Stands {
        status: Status,
        generation: u32,
        subject: Option<String>,
        modified: bool,
        touch_due: bool,
    },
    /// Ordered by record.
    Listed(Vec<Row>),
    Refused(String),
}

impl Told {
    /// For the statistics.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Refused(why) => why.split(':').next().unwrap_or_default().to_owned(),
            told => {
                let told = format!("{told:?}");
                told.split([' ', '(']).next().unwrap_or_default().to_lowercase()
            }
        }
    }
}

/// Names an error by what a caller can go by. Which fault a token has is compared between the fixtures only.
pub(crate) fn refused(error: &SessionError) -> Told {
    use SessionError as E;
    Told::Refused(match error {
        E::Closed => "closed".into(),
        E::Missing => "missing".into(),
        E::Replaced => "replaced".into(),
        E::Reused => "reused".into(),
        E::Draft => "draft".into(),
        E::InvalidToken(_) => "token".into(),
        E::InvalidCsrfToken => "csrf".into(),
        E::InvalidArgument { argument, .. } => format!("argument: {argument}"),
        E::InvalidValue { .. } => "value".into(),
        E::LimitExceeded { limit, .. } => format!("limit: {limit}"),
        E::Conflict(fields) => format!("conflict: {fields:?}"),
        E::SubjectRequired => "subject-required".into(),
        E::Convert(_) => "convert".into(),
        other => format!("not foreseen: {other:?}"),
    })
}
