//! The record as the caller saw it, and the fields that others have changed since.

use tessera_contract::index::Index;

use crate::error::{Error, Kind};
use crate::json::{self, Scanner};
use crate::overlay::Overlay;
use crate::snapshot::Snapshot;

/// What the caller saw of the record when it made its changes.
pub(crate) struct Base<'a> {
    /// Its version; `None` where there are no changes to compare.
    pub(super) version: Option<u64>,
    /// Its fields, where the record that was read first has another version.
    fields: Option<(&'a str, Index)>,
}

impl<'a> Base<'a> {
    /// # Errors
    /// `InvalidArgument` if the fields are not those of a record.
    pub(crate) fn new(version: u64, fields: Option<&'a str>) -> Result<Self, Error> {
        let index = |fields: &'a str| {
            let mut scanner = Scanner::new(fields);
            let index = Index::read(fields, &mut scanner).and_then(|index| scanner.end().map(|()| index));
            match index {
                Ok(index) => Ok((fields, index)),
                Err(_) => Err(Error::about(
                    Kind::InvalidArgument,
                    "base",
                    "is not the object of a record's fields",
                )),
            }
        };
        Ok(Self {
            version: Some(version),
            fields: fields.map(index).transpose()?,
        })
    }

    /// Of a write without changes.
    pub(crate) fn none() -> Self {
        Self {
            version: None,
            fields: None,
        }
    }

    /// Under the field rule `conflict`: fields that we and others have changed differently.
    #[inline(never)]
    pub(super) fn check_conflict(
        &self,
        overlay: &Overlay,
        first: &Snapshot,
        newest: &Snapshot,
    ) -> Result<(), Error> {
        let seen = self.version.unwrap_or(newest.version);
        if seen == newest.version {
            return Ok(());
        }
        let before = |name: &str| match &self.fields {
            _ if first.version == seen => Some(first.raw(name)),
            Some((text, index)) => Some(index.raw(text, name)),
            None => None,
        };
        let fields: Vec<String> = overlay
            .iter()
            .filter(|(name, mine)| {
                let theirs = newest.raw(name);
                theirs != *mine && before(name) != Some(theirs)
            })
            .map(|(name, _)| json::unescape(name).into_owned())
            .collect();
        if fields.is_empty() {
            Ok(())
        } else {
            Err(Error::conflict(&fields))
        }
    }
}
