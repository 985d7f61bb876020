//! A session as data: the opened record and the changes made since. Nothing here calls the engine or the store.

use std::fmt;
use std::sync::Arc;

use crate::form::{self, FieldLimits, Unfit, check_name, escape};
use crate::index::Index;
use crate::json;
use crate::overlay::{Change, MOST_CHANGES, Overlay};
use crate::{Details, Status, Value};

pub use crate::opened::{Fields, Opened};

/// The number of random bytes that a session draws before its first write.
pub const WRITER_BYTES: usize = 22;

/// The error of a read or change of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Another call on the session is not finished.
    #[error("another call on this session is not finished")]
    Busy,
    /// The session was destroyed or found ended.
    #[error("the session is closed")]
    Closed,
    /// The session was never saved.
    #[error("the session was never saved")]
    Draft,
    /// The change is invalid.
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

/// The arguments of one write; `writing` in `wit/sessions.wit`.
pub struct Writing {
    /// The session's handle, or a draft's.
    pub handle: String,
    /// The changes as one JSON text; empty: none.
    pub changes: String,
    /// The random bytes of the writer.
    pub writer: [u8; WRITER_BYTES],
    /// The number of writes that this writer began before.
    pub attempt: u32,
}

/// The effect of a failed call on the session's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The session has ended.
    Ended,
    /// The changes may have been stored.
    OutcomeUnknown,
    /// Nothing has changed.
    Otherwise,
}

/// The state of one session: the opened record and the changes made since.
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

    /// Creates the state of a draft, a session that was never saved.
    pub fn draft(handle: Arc<str>) -> Self {
        Self::with(Phase::Draft(handle))
    }

    /// Creates the state of an opened session.
    pub fn opened(opened: Arc<Opened>) -> Self {
        Self::with(Phase::Live(opened))
    }

    /// Whether a call on the session is in progress.
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

    /// Returns the session as it was opened or last written; `None` for a draft.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`].
    pub fn live(&self) -> Result<Option<&Arc<Opened>>, StateError> {
        self.check()?;
        Ok(self.stands_on())
    }

    /// Returns the session as [`live`](Self::live), also while a call is in progress; `None` for a draft or a closed session.
    pub fn stands_on(&self) -> Option<&Arc<Opened>> {
        match &self.phase {
            Phase::Live(opened) => Some(opened),
            _ => None,
        }
    }

    /// Returns the session as [`live`](Self::live), with an error for a draft.
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

    /// The encoded value of a field: the changed value, or else the stored one.
    fn raw(&self, escaped_name: &str) -> Result<Option<&str>, StateError> {
        if let Some(change) = self.overlay.get(escaped_name) {
            return Ok(change);
        }
        let (text, index) = self.stored()?;
        Ok(index.and_then(|index| index.raw(text, escaped_name)))
    }

    /// Returns the value of a field; `None` if the field does not exist.
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

    /// Applies all changes, or none: a value sets a field, `None` removes it.
    ///
    /// # Errors
    /// [`StateError::Unfit`] if a name or value is invalid or a limit is exceeded, [`StateError::Busy`],
    /// [`StateError::Closed`], [`StateError::Corrupt`].
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

    /// Notes a change. The removal of a field that is not stored is not a change.
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

    /// The number of fields after the changes.
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

    /// Removes a field and returns whether it existed.
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

    /// Visits all fields with their escaped names and encoded values, ordered by name.
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

    /// Returns all fields, ordered by name.
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

    /// Returns all fields as one JSON object, encoded as in a record.
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

    /// Creates a second session with the same record and a copy of the changes. It draws its own writer bytes.
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

    /// Returns the known state of the session. The timestamps of a draft or a closed session are 0.
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

    /// Replaces the details with newer ones from the engine. Handle, key, version and fields are kept.
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

    /// Begins a call that uses the store. Until [`end`](Self::end), every other call returns [`StateError::Busy`].
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`].
    pub fn begin(&mut self) -> Result<(), StateError> {
        self.check()?;
        self.busy = true;
        Ok(())
    }

    /// Ends the call, whatever its result.
    pub fn end(&mut self) {
        self.busy = false;
    }

    /// Returns the arguments of the write that has begun. `draw` returns the writer's random bytes at the first write.
    ///
    /// # Errors
    /// The error of `draw`; the state is unchanged then.
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

    /// Returns the fields as they were when the changes were made, if the engine needs them for a comparison.
    ///
    /// It needs them where the record that the write starts from has another `version` than the opened one, or an unknown one
    /// (`None`). Without changes nothing is compared.
    pub fn base(&self, version: Option<u64>) -> Option<String> {
        match &self.phase {
            Phase::Live(opened) if version != Some(opened.version) && !self.overlay.is_empty() => {
                Some(opened.fields.text().to_owned())
            }
            _ => None,
        }
    }

    /// Notes that the changes are stored.
    pub fn written(&mut self, opened: Arc<Opened>) {
        self.phase = Phase::Live(opened);
        self.overlay = Overlay::default();
    }

    /// Notes that the idle expiry was moved or a renewed token was confirmed.
    ///
    /// Pending changes are kept, together with the record that they were made on.
    pub fn touched(&mut self, opened: Arc<Opened>) {
        if self.overlay.is_empty() {
            self.phase = Phase::Live(opened);
        } else {
            self.renew_details(&opened);
        }
    }

    /// Notes that the token was reissued: the new handle contains its dates and the record's current key.
    pub fn reissued(&mut self, seen: &Opened) {
        self.renew_details(seen);
        if let Phase::Live(opened) = &mut self.phase
            && let Some(opened) = Arc::get_mut(opened)
        {
            opened.handle.clone_from(&seen.handle);
            opened.key = Arc::clone(&seen.key);
        }
    }

    /// Notes that a call has failed.
    pub fn failed(&mut self, how: Failed) {
        match how {
            // The changes were not stored, and are kept.
            Failed::Ended => self.phase = Phase::Closed,
            Failed::OutcomeUnknown => self.overlay.note_try(),
            Failed::Otherwise => {}
        }
    }

    /// Closes the session and drops its changes.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        self.overlay = Overlay::default();
    }
}

#[cfg(test)]
mod tests;
