//! The fields of the demonstration, and their limits.

/// The fields that a visitor may change, each with its label.
pub(super) const FIELDS: [(&str, &str); 3] = [("city", "City"), ("colour", "Colour"), ("note", "Note")];
/// The field with the browser in which a session was created. The policy must make it public, for the list of devices.
pub const AGENT: &str = "agent";
/// Prefix of every subject. No visitor has proved an identity, so a subject must not look like that of a real login.
pub(super) const PREFIX: &str = "demo:";
pub(super) const MAXIMUM_NAME: usize = 40;
pub(super) const MAXIMUM_TEXT: usize = 80;
pub(super) const MAXIMUM_AGENT: usize = 200;
