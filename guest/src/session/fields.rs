//! Reading and changing fields: the store is not asked.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use super::{Session, State};
use crate::error::{Error, Kind};
use crate::overlay::Change;
use crate::policy::check_name;
use crate::snapshot::{Snapshot, escape};
use crate::value::{self, Value};

impl Session {
    /// Reads one field.
    ///
    /// # Errors
    /// `Missing`, `Closed`, `Corrupt`.
    pub fn get(&self, name: &str) -> Result<Value, Error> {
        value::decode(self.state.borrow().raw(&escape(name))?.ok_or(Kind::Missing)?)
    }

    /// Sets one field.
    ///
    /// # Errors
    /// `InvalidArgument`, `InvalidValue`, `LimitExceeded`, `Closed`.
    pub fn set(&self, name: &str, value: &Value) -> Result<(), Error> {
        let change = self.encode(name, Some(value))?;
        self.apply(vec![change])
    }

    /// Sets and removes many fields, all or none.
    ///
    /// # Errors
    /// As [`Session::set`].
    pub fn update(&self, changes: &[(String, Option<Value>)]) -> Result<(), Error> {
        let changes = changes
            .iter()
            .map(|(name, value)| self.encode(name, value.as_ref()))
            .collect::<Result<_, _>>()?;
        self.apply(changes)
    }

    fn encode(&self, name: &str, value: Option<&Value>) -> Result<Change, Error> {
        let policy = &self.engine.policy;
        check_name(name, policy.maximum_name_bytes)?;
        let value = value.map(value::encode).transpose()?;
        if value
            .as_ref()
            .is_some_and(|text| text.len() > policy.maximum_value_bytes as usize)
        {
            return Err(Error::limit("maximum-value-bytes", policy.maximum_value_bytes));
        }
        Ok(Change {
            name: escape(name).into(),
            value: value.map(Into::into),
        })
    }

    /// Puts changes on the overlay; takes all back if a limit is passed.
    fn apply(&self, changes: Vec<Change>) -> Result<(), Error> {
        let policy = &self.engine.policy;
        let mut state = self.state.borrow_mut();
        state.snapshot()?;
        let before = (changes.len() > 1).then(|| state.overlay.clone());
        let mut undo = None;
        for change in changes {
            undo = Some((
                change.name.clone(),
                state.overlay.get(&change.name).map(|old| old.map(Box::from)),
            ));
            state.note(change)?;
        }
        let exceeded = if state.overlay.bytes() > policy.maximum_record_bytes as usize {
            Some(("maximum-record-bytes", policy.maximum_record_bytes))
        } else if state.count() > policy.maximum_fields as usize {
            Some(("maximum-fields", policy.maximum_fields))
        } else {
            None
        };
        let Some((limit, maximum)) = exceeded else {
            return Ok(());
        };
        match (before, undo) {
            (Some(before), _) => state.overlay = before,
            (None, Some((name, Some(value)))) => state.overlay.put(Change { name, value }),
            (None, Some((name, None))) => state.overlay.drop_change(&name),
            (None, None) => {}
        }
        Err(Error::limit(limit, maximum))
    }

    /// Removes a field and answers whether it was there.
    ///
    /// # Errors
    /// `Closed`.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        let mut state = self.state.borrow_mut();
        let name: Box<str> = escape(name).into();
        let was = state.raw(&name)?.is_some();
        state.note(Change { name, value: None })?;
        Ok(was)
    }

    /// Reads a field and removes it.
    ///
    /// # Errors
    /// `Missing`, `Closed`, `Corrupt`.
    pub fn pop(&self, name: &str) -> Result<Value, Error> {
        let value = self.get(name)?;
        self.remove(name)?;
        Ok(value)
    }

    /// Removes all fields.
    ///
    /// # Errors
    /// `Closed`.
    pub fn clear(&self) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        state.snapshot()?;
        let mut overlay = mem::take(&mut state.overlay);
        overlay.clear();
        for (name, _) in state.snapshot()?.into_iter().flat_map(Snapshot::raw_fields) {
            overlay.put(Change {
                name: name.into(),
                value: None,
            });
        }
        state.overlay = overlay;
        Ok(())
    }

    /// Reads all fields, ordered by name.
    ///
    /// # Errors
    /// `Closed`, `Corrupt`.
    pub fn entries(&self) -> Result<Vec<(String, Value)>, Error> {
        let state = self.state.borrow();
        let mut entries = Vec::with_capacity(state.count());
        state.each_raw(|name, raw| {
            entries.push(value::decode(raw).map(|value| (crate::json::unescape(name).into_owned(), value)))
        })?;
        entries.into_iter().collect()
    }

    /// Reads all fields as one JSON object, in the form the record has.
    ///
    /// # Errors
    /// `Closed`.
    pub fn entries_json(&self) -> Result<String, Error> {
        let state = self.state.borrow();
        let mut text = String::new();
        state.each_raw(|name, raw| {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push('"');
            text.push_str(name);
            text.push_str("\":");
            text.push_str(raw);
        })?;
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        Ok(text)
    }

    /// Makes a second handle with the same snapshot and a copy of the changes.
    ///
    /// # Errors
    /// `Closed`.
    pub fn fork(&self) -> Result<Self, Error> {
        let state = self.state.borrow();
        state.snapshot()?;
        // A handle of its own writes under names of its own.
        let state = State {
            author: None,
            ..state.clone()
        };
        Ok(Self {
            engine: Rc::clone(&self.engine),
            state: RefCell::new(state),
        })
    }

    /// Whether there are changes to save.
    pub fn is_modified(&self) -> bool {
        !self.state.borrow().overlay.is_empty()
    }
}
