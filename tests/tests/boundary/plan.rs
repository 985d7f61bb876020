//! What is called: sequences drawn at random, their arguments by place, so that they mean something wherever they stand.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tessera::{FieldRule, ReuseRule, TokenFormat};

use super::values::{Given, any_given, any_name};

/// The rules of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) format: TokenFormat,
    pub(crate) field_rule: FieldRule,
    pub(crate) reuse_rule: ReuseRule,
    /// The clock stands still, so a grace is over at once or never.
    pub(crate) graceful: bool,
}

/// One of the tokens that were handed out, or something like it.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    Good(Index),
    /// One byte of it replaced.
    Damaged(Index, Index, u8),
    /// Of the same form and key id, signed with another secret.
    Foreign,
    Noise(String),
    TooLong(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Alice,
    Bob,
    Other(String),
}

impl Subject {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Other(text) => text,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Keeping {
    Nothing,
    Everything,
    Named(Vec<String>),
}

/// A call of the public API; `Index` is one of the handles that are held, or of the things that were handed out.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Create,
    Open(Shown),
    Verify(Shown),
    Drop(Index),
    Fork(Index),
    Set(Index, String, Given),
    Update(Index, Vec<(String, Option<Given>)>),
    Get(Index, String),
    Remove(Index, String),
    Pop(Index, String),
    Clear(Index),
    Entries(Index),
    EntriesJson(Index),
    Details(Index),
    Save(Index),
    Rotate(Index),
    Authenticate(Index, Subject, Keeping),
    Touch(Index),
    Reissue(Index),
    Destroy(Index),
    MakeCsrf(Index),
    CheckCsrf(Index, Index),
    CheckCsrfNoise(Index, String),
    List(Subject, Index),
    Revoke(Subject, Index),
    RevokeAll(Subject),
    RevokeOthers(Index),
}

impl Call {
    /// On which of the handles.
    pub(crate) fn handle(&self) -> Option<Index> {
        match self {
            Self::Create | Self::Open(_) | Self::Verify(_) | Self::RevokeAll(_) => None,
            Self::List(_, at) | Self::Revoke(_, at) => Some(*at),
            Self::Drop(at)
            | Self::Fork(at)
            | Self::Set(at, ..)
            | Self::Update(at, _)
            | Self::Get(at, _)
            | Self::Remove(at, _)
            | Self::Pop(at, _)
            | Self::Clear(at)
            | Self::Entries(at)
            | Self::EntriesJson(at)
            | Self::Details(at)
            | Self::Save(at)
            | Self::Rotate(at)
            | Self::Authenticate(at, ..)
            | Self::Touch(at)
            | Self::Reissue(at)
            | Self::Destroy(at)
            | Self::MakeCsrf(at)
            | Self::CheckCsrf(at, _)
            | Self::CheckCsrfNoise(at, _)
            | Self::RevokeOthers(at) => Some(*at),
        }
    }

    /// For the statistics.
    pub(crate) fn kind(&self) -> String {
        let call = format!("{self:?}");
        call.split(['(', ' ']).next().unwrap_or_default().to_lowercase()
    }
}

pub(crate) fn any_rules() -> impl Strategy<Value = Rules> {
    (
        prop::bool::weighted(0.25),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(jwt, conflict, ends, graceful)| Rules {
            format: if jwt {
                TokenFormat::Jwt
            } else {
                TokenFormat::Compact
            },
            field_rule: if conflict {
                FieldRule::Conflict
            } else {
                FieldRule::LaterWins
            },
            reuse_rule: if ends {
                ReuseRule::EndSession
            } else {
                ReuseRule::Report
            },
            graceful,
        })
}

fn any_shown() -> impl Strategy<Value = Shown> {
    let character = select(b"ABCxyz019-_.=\"{ ".to_vec());
    prop_oneof![
        8 => any::<Index>().prop_map(Shown::Good),
        2 => (any::<Index>(), any::<Index>(), character).prop_map(|(which, at, with)| Shown::Damaged(which, at, with)),
        1 => Just(Shown::Foreign),
        1 => "(ts1\\.)?\\PC{0,20}".prop_map(Shown::Noise),
        1 => (1020..1030_usize).prop_map(Shown::TooLong),
    ]
}

fn any_subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        4 => Just(Subject::Alice),
        4 => Just(Subject::Bob),
        1 => (254..257_usize).prop_map(|length| Subject::Other("s".repeat(length))),
        1 => select(vec!["", "a\u{0}", "ä\"\\"]).prop_map(|text| Subject::Other(text.to_owned())),
    ]
}

fn any_keeping() -> impl Strategy<Value = Keeping> {
    prop_oneof![
        Just(Keeping::Nothing),
        Just(Keeping::Everything),
        vec(any_name(), 0..4).prop_map(Keeping::Named),
        vec("[a-e]", 11..14).prop_map(Keeping::Named),
    ]
}

fn any_changes() -> impl Strategy<Value = Vec<(String, Option<Given>)>> {
    prop_oneof![
        4 => vec((any_name(), proptest::option::weighted(0.7, any_given())), 0..5),
        1 => vec(("[a-h]", proptest::option::weighted(0.5, any_given())), 6..14),
    ]
}

/// Sequences that mostly begin with a session and a renewed token, and then go anywhere.
pub(crate) fn any_calls(most: usize) -> impl Strategy<Value = Vec<Call>> {
    let at = any::<Index>;
    let stored = (at(), any_keeping())
        .prop_map(|(at, keeping)| vec![Call::Create, Call::Authenticate(at, Subject::Alice, keeping)]);
    let renewed = (at(), at(), at(), at()).prop_map(|(first, second, third, fourth)| {
        vec![
            Call::Create,
            Call::Authenticate(first, Subject::Bob, Keeping::Nothing),
            Call::Rotate(first),
            Call::Open(Shown::Good(second)),
            Call::Touch(third),
            Call::Open(Shown::Good(fourth)),
        ]
    });
    let beginning = prop_oneof![1 => Just(Vec::new()), 2 => stored, 2 => renewed];
    (beginning, vec(any_call(), 1..=most)).prop_map(|(mut calls, rest)| {
        calls.extend(rest);
        calls
    })
}

fn any_call() -> impl Strategy<Value = Call> {
    let at = any::<Index>;
    prop_oneof![
        4 => Just(Call::Create),
        6 => any_shown().prop_map(Call::Open),
        2 => any_shown().prop_map(Call::Verify),
        2 => at().prop_map(Call::Drop),
        3 => at().prop_map(Call::Fork),
        10 => (at(), any_name(), any_given()).prop_map(|(at, name, value)| Call::Set(at, name, value)),
        5 => (at(), any_changes()).prop_map(|(at, changes)| Call::Update(at, changes)),
        3 => (at(), any_name()).prop_map(|(at, name)| Call::Get(at, name)),
        3 => (at(), any_name()).prop_map(|(at, name)| Call::Remove(at, name)),
        3 => (at(), any_name()).prop_map(|(at, name)| Call::Pop(at, name)),
        1 => at().prop_map(Call::Clear),
        3 => at().prop_map(Call::Entries),
        3 => at().prop_map(Call::EntriesJson),
        3 => at().prop_map(Call::Details),
        10 => at().prop_map(Call::Save),
        5 => at().prop_map(Call::Rotate),
        5 => (at(), any_subject(), any_keeping()).prop_map(|(at, subject, keeping)| Call::Authenticate(at, subject, keeping)),
        4 => at().prop_map(Call::Touch),
        2 => at().prop_map(Call::Reissue),
        1 => at().prop_map(Call::Destroy),
        2 => at().prop_map(Call::MakeCsrf),
        3 => (at(), any::<Index>()).prop_map(|(at, which)| Call::CheckCsrf(at, which)),
        1 => (at(), "[A-Za-z0-9_-]{80,90}|\\PC{0,140}").prop_map(|(at, text)| Call::CheckCsrfNoise(at, text)),
        2 => (any_subject(), at()).prop_map(|(subject, at)| Call::List(subject, at)),
        1 => (any_subject(), at()).prop_map(|(subject, at)| Call::Revoke(subject, at)),
        1 => any_subject().prop_map(Call::RevokeAll),
        1 => at().prop_map(Call::RevokeOthers),
    ]
}
