//! A session as data: what was read of it, and what was changed since. Nothing here asks the engine or the store.

use std::fmt;
use std::sync::Arc;

use crate::form::{self, FieldLimits, Unfit, check_name, escape};
use crate::index::Index;
use crate::json;
use crate::overlay::{Change, MOST_CHANGES, Overlay};
use crate::{Details, Status, Value};

pub use crate::opened::{Fields, Opened};

/// How many random bytes a session draws before its first write.
pub const WRITER_BYTES: usize = 22;

/// Why a session cannot be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Another call on the session is not finished.
    #[error("another call on this session is not finished")]
    Busy,
    /// The session was destroyed, or was found ended.
    #[error("the session is closed")]
    Closed,
    /// The session was never saved.
    #[error("the session was never saved")]
    Draft,
    /// The change is refused.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A field cannot be read.
    #[error("a field cannot be read")]
    Corrupt,
}

#[derive(Clone)]
enum Phase {
    Draft(Arc<str>),
    Live(Arc<Opened>),
    Closed,
}

/// One write, as it crosses into the engine.
pub struct Writing {
    /// The session's handle, or a draft's.
    pub handle: String,
    /// The changes as one JSON text.
    pub changes: String,
    /// Who writes.
    pub writer: [u8; WRITER_BYTES],
    /// Which of its writes this is.
    pub attempt: u32,
}

/// How a call on a session failed, as far as its state is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The session has ended.
    Ended,
    /// What was to be written may be stored.
    OutcomeUnknown,
    /// Nothing has changed.
    Otherwise,
}

/// The state of one session: what was opened, and the changes made since.
pub struct State {
    phase: Phase,
    overlay: Overlay,
    writer: Option<[u8; WRITER_BYTES]>,
    attempts: u32,
    busy: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    fn with(phase: Phase) -> Self {
        Self {
            phase,
            overlay: Overlay::default(),
            writer: None,
            attempts: 0,
            busy: false,
        }
    }

    /// A session that was never saved, by the handle of a draft.
    pub fn draft(handle: Arc<str>) -> Self {
        Self::with(Phase::Draft(handle))
    }

    /// A session that was opened.
    pub fn opened(opened: Arc<Opened>) -> Self {
        Self::with(Phase::Live(opened))
    }

    /// Whether a call on the session has not ended.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    fn check(&self) -> Result<(), StateError> {
        match self.phase {
            _ if self.busy => Err(StateError::Busy),
            Phase::Closed => Err(StateError::Closed),
            _ => Ok(()),
        }
    }

    /// The session as it was opened or last written; `None` for a draft.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`].
    pub fn live(&self) -> Result<Option<&Arc<Opened>>, StateError> {
        self.check()?;
        Ok(self.stands_on())
    }

    /// The same, also while a call is under way.
    pub fn stands_on(&self) -> Option<&Arc<Opened>> {
        match &self.phase {
            Phase::Live(opened) => Some(opened),
            _ => None,
        }
    }

    /// The same where a draft will not do.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`], [`StateError::Draft`].
    pub fn saved(&self) -> Result<&Arc<Opened>, StateError> {
        self.live()?.ok_or(StateError::Draft)
    }

    fn stored(&self) -> Result<(&str, Option<&Index>), StateError> {
        match &self.phase {
            Phase::Live(opened) => Ok((opened.fields.text(), Some(opened.fields.index()?))),
            _ => Ok(("", None)),
        }
    }

    /// The value of a field as it stands in a record: the change made to it, or else what is stored.
    fn raw(&self, escaped_name: &str) -> Result<Option<&str>, StateError> {
        if let Some(change) = self.overlay.get(escaped_name) {
            return Ok(change);
        }
        let (text, index) = self.stored()?;
        Ok(index.and_then(|index| index.raw(text, escaped_name)))
    }

    /// Reads one field; `None` if there is no such field.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`], [`StateError::Corrupt`].
    pub fn get(&self, name: &str) -> Result<Option<Value>, StateError> {
        self.check()?;
        match self.raw(&escape(name))? {
            Some(raw) => form::decode(raw).map(Some).ok_or(StateError::Corrupt),
            None => Ok(None),
        }
    }

    /// Sets and removes many fields, all or none: a value sets one, `None` removes it.
    ///
    /// # Errors
    /// [`StateError::Unfit`], [`StateError::Busy`], [`StateError::Closed`].
    pub fn update(
        &mut self,
        changes: impl IntoIterator<Item = (String, Option<Value>)>,
        limits: &FieldLimits,
    ) -> Result<(), StateError> {
        let mut checked = Vec::new();
        for (name, value) in changes {
            check_name(&name, limits.maximum_name_bytes)?;
            let value = value.as_ref().map(form::encode).transpose()?;
            checked.push(Change::checked(&name, value, limits)?);
        }
        self.check()?;
        let before = (checked.len() > 1).then(|| self.overlay.clone());
        let mut undo = None;
        for change in checked {
            undo = Some((
                change.name.clone(),
                self.overlay.get(&change.name).map(|old| old.map(Box::from)),
            ));
            self.note(change)?;
        }
        let exceeded = if self.overlay.bytes() > limits.maximum_record_bytes as usize {
            Unfit::Limit("maximum-record-bytes", limits.maximum_record_bytes)
        } else if self.count()? > limits.maximum_fields as usize || self.overlay.len() > MOST_CHANGES {
            Unfit::Limit("maximum-fields", limits.maximum_fields)
        } else {
            return Ok(());
        };
        match (before, undo) {
            (Some(before), _) => self.overlay = before,
            (None, Some((name, Some(value)))) => self.overlay.put(Change { name, value }),
            (None, Some((name, None))) => self.overlay.drop_change(&name),
            (None, None) => {}
        }
        Err(exceeded.into())
    }

    /// Notes a change; to remove what is not stored is none.
    fn note(&mut self, change: Change) -> Result<(), StateError> {
        let (text, index) = self.stored()?;
        let stored = index.is_some_and(|index| index.raw(text, &change.name).is_some());
        if change.value.is_some() || stored || self.overlay.may_be_stored(&change.name) {
            self.overlay.put(change);
        } else {
            self.overlay.drop_change(&change.name);
        }
        Ok(())
    }

    /// How many fields there are, changes counted in.
    fn count(&self) -> Result<usize, StateError> {
        let (text, index) = self.stored()?;
        let mut count = index.map_or(0, Index::len);
        for (name, change) in self.overlay.iter() {
            let was = index.is_some_and(|index| index.raw(text, name).is_some());
            match (was, change.is_some()) {
                (false, true) => count += 1,
                (true, false) => count -= 1,
                _ => {}
            }
        }
        Ok(count)
    }

    /// Removes a field and answers whether it was there.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`], [`StateError::Corrupt`].
    pub fn remove(&mut self, name: &str) -> Result<bool, StateError> {
        self.check()?;
        let name: Box<str> = escape(name).into();
        let was = self.raw(&name)?.is_some();
        self.note(Change { name, value: None })?;
        Ok(was)
    }

    /// Removes all fields.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`], [`StateError::Corrupt`].
    pub fn clear(&mut self) -> Result<(), StateError> {
        self.check()?;
        let mut overlay = self.overlay.clone();
        overlay.clear();
        let (text, index) = self.stored()?;
        for (name, _) in index.into_iter().flat_map(|index| index.raw_fields(text)) {
            overlay.put(Change {
                name: name.into(),
                value: None,
            });
        }
        self.overlay = overlay;
        Ok(())
    }

    /// All fields with their values as they stand in a record, ordered by name.
    fn each_raw(&self, mut visit: impl FnMut(&str, &str)) -> Result<(), StateError> {
        self.check()?;
        let (text, index) = self.stored()?;
        let mut changes = self.overlay.iter().peekable();
        for (name, value) in index.into_iter().flat_map(|index| index.raw_fields(text)) {
            while let Some((changed, change)) = changes.next_if(|(changed, _)| *changed < name) {
                if let Some(new) = change {
                    visit(changed, new);
                }
            }
            match changes.next_if(|(changed, _)| *changed == name) {
                Some((_, Some(new))) => visit(name, new),
                Some((_, None)) => {}
                None => visit(name, value),
            }
        }
        for (changed, change) in changes {
            if let Some(new) = change {
                visit(changed, new);
            }
        }
        Ok(())
    }

    /// Reads all fields, ordered by name.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`], [`StateError::Corrupt`].
    pub fn entries(&self) -> Result<Vec<(String, Value)>, StateError> {
        let mut entries = Vec::new();
        self.each_raw(|name, raw| {
            let value = form::decode(raw).ok_or(StateError::Corrupt);
            entries.push(value.map(|value| (json::unescape(name).into_owned(), value)));
        })?;
        entries.into_iter().collect()
    }

    /// Reads all fields as one JSON object, in the form the record has.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`], [`StateError::Corrupt`].
    pub fn entries_json(&self) -> Result<String, StateError> {
        self.check()?;
        if let (Phase::Live(opened), true) = (&self.phase, self.overlay.is_empty()) {
            return Ok(opened.fields.text().to_owned());
        }
        let mut text = String::new();
        self.each_raw(|name, raw| {
            text.push(if text.is_empty() { '{' } else { ',' });
            for part in ["\"", name, "\":", raw] {
                text.push_str(part);
            }
        })?;
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        Ok(text)
    }

    /// A second session with the same record and a copy of the changes. It writes under a name of its own.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`].
    pub fn fork(&self) -> Result<Self, StateError> {
        self.check()?;
        Ok(Self {
            overlay: self.overlay.clone(),
            ..Self::with(self.phase.clone())
        })
    }

    /// What is known of the session. The moments of a session that was never saved are 0.
    ///
    /// # Errors
    /// [`StateError::Busy`].
    pub fn details(&self) -> Result<Details, StateError> {
        if self.busy {
            return Err(StateError::Busy);
        }
        let modified = !self.overlay.is_empty();
        Ok(match &self.phase {
            Phase::Draft(_) => Details {
                modified,
                ..Details::of_draft()
            },
            Phase::Live(opened) => Details {
                modified,
                ..opened.details.clone()
            },
            Phase::Closed => Details {
                status: Status::Closed,
                modified,
                ..Details::of_draft()
            },
        })
    }

    /// Takes what the engine says of the session by now.
    pub fn renew_details(&mut self, seen: &Opened) {
        if let Phase::Live(opened) = &mut self.phase {
            *opened = Arc::new(Opened {
                handle: opened.handle.clone(),
                key: Arc::clone(&opened.key),
                version: opened.version,
                details: seen.details.clone(),
                asked_at: seen.asked_at,
                holds_until: seen.holds_until,
                fields: Arc::clone(&opened.fields),
            });
        }
    }

    /// Begins a call that asks the store. Until it has ended, every other answers [`StateError::Busy`].
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`].
    pub fn begin(&mut self) -> Result<(), StateError> {
        self.check()?;
        self.busy = true;
        Ok(())
    }

    /// Ends it, whatever became of it.
    pub fn end(&mut self) {
        self.busy = false;
    }

    /// What the write that has begun hands over. `draw` gives random bytes where none were drawn before.
    ///
    /// # Errors
    /// Those of `draw`; nothing was noted then.
    pub fn writing<E>(&mut self, draw: impl FnOnce() -> Result<[u8; WRITER_BYTES], E>) -> Result<Writing, E> {
        let writer = match self.writer {
            Some(writer) => writer,
            None => *self.writer.insert(draw()?),
        };
        let attempt = self.attempts;
        self.attempts += 1;
        Ok(Writing {
            handle: match &self.phase {
                Phase::Draft(handle) => handle.to_string(),
                Phase::Live(opened) => opened.handle.clone(),
                // A call on a closed session does not begin.
                Phase::Closed => String::new(),
            },
            changes: if self.overlay.is_empty() {
                String::new()
            } else {
                self.overlay.to_json()
            },
            writer,
            attempt,
        })
    }

    /// The fields as they were when the changes were made, where the engine is to compare with them: the record that it begins
    /// with has another version than the one that was opened, or one that is not known.
    pub fn base(&self, version: Option<u64>) -> Option<String> {
        match &self.phase {
            Phase::Live(opened) if version != Some(opened.version) && !self.overlay.is_empty() => {
                Some(opened.fields.text().to_owned())
            }
            _ => None,
        }
    }

    /// The changes are stored.
    pub fn written(&mut self, opened: Arc<Opened>) {
        self.phase = Phase::Live(opened);
        self.overlay = Overlay::default();
    }

    /// The idle expiry was moved or a renewed token confirmed. Changes go on waiting, over the record that they were made on.
    pub fn touched(&mut self, opened: Arc<Opened>) {
        if self.overlay.is_empty() {
            self.phase = Phase::Live(opened);
        } else {
            self.renew_details(&opened);
        }
    }

    /// The token was made anew: the handle knows its dates, and names the record where it lies now.
    pub fn reissued(&mut self, seen: &Opened) {
        self.renew_details(seen);
        if let Phase::Live(opened) = &mut self.phase
            && let Some(opened) = Arc::get_mut(opened)
        {
            opened.handle.clone_from(&seen.handle);
            opened.key = Arc::clone(&seen.key);
        }
    }

    /// A call has failed.
    pub fn failed(&mut self, how: Failed) {
        match how {
            // What was changed was not stored, and is not forgotten by it.
            Failed::Ended => self.phase = Phase::Closed,
            Failed::OutcomeUnknown => self.overlay.note_try(),
            Failed::Otherwise => {}
        }
    }

    /// The session has ended.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        self.overlay = Overlay::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    const LIMITS: FieldLimits = FieldLimits {
        maximum_name_bytes: 8,
        maximum_value_bytes: 32,
        maximum_record_bytes: 64,
        maximum_fields: 3,
    };

    fn opened(fields: &str, version: u64) -> Arc<Opened> {
        let record: Arc<str> = format!("{{\"fields\":{fields}}}").into();
        Arc::new(Opened {
            handle: "h1.x".into(),
            key: "tessera:x".into(),
            version,
            details: Details {
                status: Status::Live,
                ..Details::of_draft()
            },
            asked_at: Timestamp::from_millis(1),
            holds_until: Timestamp::from_millis(2),
            fields: Arc::new(Fields::new(record, 10).unwrap()),
        })
    }

    fn state(fields: &str) -> State {
        State::opened(opened(fields, 1))
    }

    fn set(state: &mut State, name: &str, number: i64) -> Result<(), StateError> {
        state.update([(name.to_owned(), Some(Value::Integer(number)))], &LIMITS)
    }

    fn writing(state: &mut State) -> Writing {
        state.writing(|| Ok::<_, ()>([7; WRITER_BYTES])).unwrap()
    }

    #[test]
    fn changes_lie_over_what_was_opened_until_they_are_written() {
        let mut state = state(r#"{"a":1,"b":"x"}"#);
        set(&mut state, "c", 3).unwrap();
        assert!(state.remove("a").unwrap() && !state.remove("d").unwrap());
        assert_eq!(state.get("a"), Ok(None));
        assert_eq!(state.get("b"), Ok(Some(Value::Text("x".into()))));
        assert_eq!(state.entries_json().as_deref(), Ok(r#"{"b":"x","c":3}"#));
        assert_eq!(writing(&mut state).changes, r#"{"set":{"c":3},"remove":["a"]}"#);
        state.written(opened(r#"{"b":"x","c":3}"#, 2));
        assert!(!state.details().unwrap().modified && writing(&mut state).changes.is_empty());
    }

    #[test]
    fn a_limit_that_is_passed_takes_back_the_whole_change() {
        let mut state = state(r#"{"a":1,"b":2}"#);
        set(&mut state, "c", 3).unwrap();
        let many = ["a", "d"].map(|name| (name.to_owned(), Some(Value::Null)));
        assert_eq!(
            state.update(many, &LIMITS),
            Err(Unfit::Limit("maximum-fields", 3).into())
        );
        assert!(set(&mut state, "d", 4).is_err() && set(&mut state, "", 1).is_err());
        assert_eq!(state.entries_json().as_deref(), Ok(r#"{"a":1,"b":2,"c":3}"#));
        assert_eq!(writing(&mut state).changes, r#"{"set":{"c":3},"remove":[]}"#);
    }

    #[test]
    fn whatever_a_session_lets_be_changed_the_engine_takes() {
        // Stored under wider limits, in more bytes than the limits allow by now.
        let name = "n".repeat(100);
        let stored = format!(r#"{{"a":1,"b":1,"c":1,"d":1,"{name}":1}}"#);
        let mut state = state(&stored);
        state.clear().unwrap();
        for name in ["a", "b"] {
            set(&mut state, name, 7).unwrap();
        }
        let read =
            |state: &mut State| Overlay::read(&writing(state).changes, &LIMITS).map(|read| read.to_json());
        let changes = format!(r#"{{"set":{{"a":7,"b":7}},"remove":["c","d","{name}"]}}"#);
        assert_eq!(read(&mut state), Ok(changes));

        // No answer ever came, so that each field may be stored.
        let mut state = State::draft("d1.x".into());
        let wide = FieldLimits {
            maximum_record_bytes: 1 << 20,
            ..LIMITS
        };
        let mut set = 0;
        for number in 0..10_000 {
            let change = (number.to_string(), Some(Value::Null));
            if state.update([change], &wide).is_err() {
                break;
            }
            set += 1;
            state.failed(Failed::OutcomeUnknown);
            assert!(state.remove(&number.to_string()).unwrap());
        }
        assert_eq!(set, MOST_CHANGES);
        assert!(Overlay::read(&writing(&mut state).changes, &wide).is_ok());
    }

    #[test]
    fn what_a_lost_write_may_have_stored_is_removed_by_name() {
        let mut state = State::draft("d1.x".into());
        set(&mut state, "a", 1).unwrap();
        state.failed(Failed::OutcomeUnknown);
        assert!(state.remove("a").unwrap());
        assert_eq!(writing(&mut state).changes, r#"{"set":{},"remove":["a"]}"#);
    }

    #[test]
    fn each_write_has_a_number_of_its_own_and_each_fork_a_name() {
        let mut state = state("{}");
        let first = writing(&mut state);
        let mut fork = state.fork().unwrap();
        assert_eq!((first.attempt, writing(&mut state).attempt), (0, 1));
        let forked = fork.writing(|| Ok::<_, ()>([8; WRITER_BYTES])).unwrap();
        assert_eq!((forked.writer[0], forked.attempt, first.writer[0]), (8, 0, 7));
        assert!(state.writing(|| Err(())).is_ok(), "a name is drawn once");
    }

    #[test]
    fn one_call_at_a_time_and_none_after_the_end() {
        let mut state = state(r#"{"a":1}"#);
        state.begin().unwrap();
        assert_eq!(state.get("a"), Err(StateError::Busy));
        assert_eq!(state.begin(), Err(StateError::Busy));
        assert!(state.details().is_err() && state.fork().is_err() && set(&mut state, "a", 2).is_err());
        state.failed(Failed::Ended);
        state.end();
        assert_eq!(state.get("a"), Err(StateError::Closed));
        assert_eq!(state.details().unwrap().status, Status::Closed);
    }

    #[test]
    fn a_touch_leaves_changes_over_the_record_that_they_were_made_on() {
        let mut state = state(r#"{"a":1}"#);
        set(&mut state, "b", 2).unwrap();
        state.touched(opened(r#"{"a":9}"#, 2));
        assert_eq!(state.get("a"), Ok(Some(Value::Integer(1))));
        assert_eq!(state.saved().unwrap().version, 1);
        assert_eq!(state.base(Some(2)).as_deref(), Some(r#"{"a":1}"#));
        assert!(state.base(None).is_some());
        assert_eq!(state.base(Some(1)), None);
    }

    #[test]
    fn a_token_that_is_made_anew_leaves_version_and_fields_and_names_the_record_where_it_lies() {
        let mut state = state(r#"{"a":1}"#);
        let shared = Arc::clone(state.saved().unwrap());
        let moved = opened(r#"{"a":9}"#, 2);
        state.reissued(&Opened {
            handle: "h1.y".into(),
            key: "tessera:y".into(),
            asked_at: Timestamp::from_millis(7),
            holds_until: Timestamp::from_millis(9),
            version: 2,
            details: moved.details.clone(),
            fields: Arc::clone(&moved.fields),
        });
        let now = state.saved().unwrap();
        assert_eq!((now.handle.as_str(), &*now.key), ("h1.y", "tessera:y"));
        assert!(now.version == 1 && now.holds_at(Timestamp::from_millis(8)));
        assert_eq!(state.get("a"), Ok(Some(Value::Integer(1))));
        assert_eq!(shared.handle, "h1.x", "others have the session as they opened it");
    }
}
