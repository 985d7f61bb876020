//! The record on which the caller's changes are based, and the detection of conflicts with it.

use tessera_contract::index::Index;

use crate::error::{Error, Kind};
use crate::json::{self, Scanner};
use crate::overlay::Overlay;
use crate::snapshot::Snapshot;

/// The record on which the caller's changes are based.
pub(crate) struct Base<'a> {
    /// The version; `None` where there are no changes to compare.
    pub(super) version: Option<u64>,
    /// The fields, if the record that was read first has another version.
    fields: Option<(&'a str, Index)>,
}

impl<'a> Base<'a> {
    /// Creates the base of a write from the handle's version and the host's `base`.
    ///
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

    /// Creates the base of a write without changes.
    pub(crate) fn none() -> Self {
        Self {
            version: None,
            fields: None,
        }
    }

    /// Under the field rule `conflict`: refuses fields that this write and concurrent ones changed to different values.
    ///
    /// # Errors
    /// `Conflict`, with the names of the fields.
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
