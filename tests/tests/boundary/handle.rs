//! What the model answers of a handle's fields, and what it refuses before anything is asked.

use std::collections::BTreeMap;

use tessera::Value;

use super::model::{Field, Fields, Handle, Overlay, Phase, Snapshot, refuse};
use super::plan::Keeping;
use super::told::Told;
use super::values::{FIELDS, Given, NAME_BYTES, RECORD_BYTES, VALUE_BYTES, escaped};

const SUBJECT_BYTES: usize = 255;

impl Handle {
    pub(crate) fn draft() -> Self {
        Self {
            phase: Phase::Draft,
            overlay: Overlay::new(),
        }
    }

    /// The fields that are stored, as far as the handle knows.
    pub(crate) fn stored(&self) -> Result<Option<&Fields>, Told> {
        match &self.phase {
            Phase::Draft => Ok(None),
            Phase::Live { base, .. } => Ok(Some(&base.fields)),
            Phase::Closed => refuse("closed"),
        }
    }

    pub(crate) fn live(&self) -> Result<(usize, &Snapshot, u32), Told> {
        match &self.phase {
            Phase::Draft => refuse("draft"),
            Phase::Live {
                record,
                seed,
                generation,
                ..
            } => Ok((*record, seed, *generation)),
            Phase::Closed => refuse("closed"),
        }
    }

    /// The fields with the changes over them.
    pub(crate) fn fields(&self) -> Result<Fields, Told> {
        Ok(merged(self.stored()?, &self.overlay, |_| true))
    }

    pub(crate) fn change(&mut self, changes: &[(String, Option<Given>)]) -> Result<(), Told> {
        let mut encoded = Vec::new();
        for (at, (name, given)) in changes.iter().enumerate() {
            check_name_bytes(name)?;
            if given.as_ref().is_some_and(|given| given.bytes() > VALUE_BYTES) {
                return refuse("limit: maximum-value-bytes");
            }
            if at >= 2 * FIELDS {
                return refuse("limit: maximum-fields");
            }
        }
        for (name, given) in changes {
            if name.is_empty() || name.chars().any(char::is_control) {
                return refuse("argument: name");
            }
            let field = match given {
                None => None,
                Some(given) => {
                    let Some(text) = given.text.clone() else {
                        return refuse("value");
                    };
                    if text.len() > VALUE_BYTES {
                        return refuse("limit: maximum-value-bytes");
                    }
                    let (name, value) = (name.clone(), given.stored());
                    Some(Field { name, value, text })
                }
            };
            encoded.push((escaped(name), field));
        }
        let mut after = self.clone();
        for (name, field) in encoded {
            let stored = self.stored()?.is_some_and(|fields| fields.contains_key(&name));
            if field.is_some() || stored {
                after.overlay.insert(name, field);
            } else {
                after.overlay.remove(&name);
            }
        }
        let bytes = |(name, field): (&String, &Option<Field>)| {
            name.len() + field.as_ref().map_or(0, |field| field.text.len()) + 4
        };
        let fields = after.fields()?.len();
        if after.overlay.iter().map(bytes).sum::<usize>() > RECORD_BYTES {
            return refuse("limit: maximum-record-bytes");
        }
        if fields > FIELDS {
            return refuse("limit: maximum-fields");
        }
        *self = after;
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<bool, Told> {
        if name.len() > NAME_BYTES {
            return Ok(false);
        }
        let name = escaped(name);
        let was = self.fields()?.contains_key(&name);
        if self.stored()?.is_some_and(|fields| fields.contains_key(&name)) {
            self.overlay.insert(name, None);
        } else {
            self.overlay.remove(&name);
        }
        Ok(was)
    }

    pub(crate) fn get(&self, name: &str) -> Result<Option<Value>, Told> {
        if name.len() > NAME_BYTES {
            return Ok(None);
        }
        Ok(self
            .fields()?
            .get(&escaped(name))
            .map(|field| field.value.clone()))
    }

    pub(crate) fn clear(&mut self) -> Result<(), Told> {
        let names = self.stored()?.into_iter().flat_map(BTreeMap::keys);
        self.overlay = names.map(|name| (name.clone(), None)).collect();
        Ok(())
    }
}

pub(crate) fn check_name_bytes(name: &str) -> Result<(), Told> {
    if name.len() > NAME_BYTES {
        return refuse("limit: maximum-name-bytes");
    }
    Ok(())
}

/// Stored fields, those that survive, with changes over them.
pub(crate) fn merged(stored: Option<&Fields>, overlay: &Overlay, survives: impl Fn(&str) -> bool) -> Fields {
    let mut fields: Fields = stored
        .into_iter()
        .flatten()
        .filter(|(name, _)| survives(name))
        .map(|(name, field)| (name.clone(), field.clone()))
        .collect();
    for (name, change) in overlay {
        match change {
            Some(field) => drop(fields.insert(name.clone(), field.clone())),
            None => drop(fields.remove(name)),
        }
    }
    fields
}

pub(crate) fn check_subject(subject: &str) -> Result<(), Told> {
    if !(1..=SUBJECT_BYTES).contains(&subject.len()) || subject.chars().any(char::is_control) {
        return refuse("argument: subject");
    }
    Ok(())
}

pub(crate) fn check_keeping(keeping: &Keeping) -> Result<(), Told> {
    let Keeping::Named(names) = keeping else {
        return Ok(());
    };
    if names.len() > 2 * FIELDS {
        return refuse("limit: maximum-fields");
    }
    names.iter().try_for_each(|name| check_name_bytes(name))
}
