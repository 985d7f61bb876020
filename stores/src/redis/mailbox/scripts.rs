//! The scripts of a mailbox, which are files under `stores/layout/redis/mailbox`.

use std::sync::LazyLock;

use super::super::scripts::Script;

macro_rules! script {
    ($name:literal) => {
        Script::new(&[
            include_str!("../../../layout/redis/mailbox/state.lua"),
            include_str!(concat!("../../../layout/redis/mailbox/", $name)),
        ])
    };
}

/// Creates a mailbox.
pub(super) static OPEN: LazyLock<Script> = LazyLock::new(|| script!("open.lua"));
/// Appends a message.
pub(super) static APPEND: LazyLock<Script> = LazyLock::new(|| script!("append.lua"));
/// Changes holder, end or time of a mailbox.
pub(super) static CHANGE: LazyLock<Script> = LazyLock::new(|| script!("change.lua"));
/// Reads messages.
pub(super) static READ: LazyLock<Script> = LazyLock::new(|| script!("read.lua"));
/// Evicts messages that the client has been sent.
pub(super) static ACKNOWLEDGE: LazyLock<Script> = LazyLock::new(|| script!("acknowledge.lua"));
