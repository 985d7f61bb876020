//! The fields of the demonstration, and their limits.

/// What whoever signs in may write: the field, and what the page calls it.
pub(super) const FIELDS: [(&str, &str); 3] = [("city", "City"), ("colour", "Colour"), ("note", "Note")];
/// The field with the browser that a session was made in. The policy is to call it public, so that the list of devices has it.
pub const AGENT: &str = "agent";
/// Stands before every name. Nobody here has proved to be anybody: it must not look like one who has.
pub(super) const PREFIX: &str = "demo:";
pub(super) const MAXIMUM_NAME: usize = 40;
pub(super) const MAXIMUM_TEXT: usize = 80;
pub(super) const MAXIMUM_AGENT: usize = 200;
