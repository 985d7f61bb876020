//! The scripts. Each one accesses one key, so that it runs atomically on the server that has the key.
//!
//! The scripts are files under `stores/layout/redis`, which describe their keys, arguments and results.
//! Hosts in other languages run the same files.
//! A script is sent by its SHA-1, and by its text if the server does not have it yet.
//! No script begins with a shebang: with one, Redis refuses the whole script when its memory is full, even a `DEL`.

use std::sync::LazyLock;

use redis::{Cmd, ToRedisArgs};

/// A script and its SHA-1, which is its name at the server.
pub(super) struct Script {
    text: String,
    sha1: String,
}

impl Script {
    pub(super) fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        let sha1 = redis::Script::new(&text).get_hash().to_owned();
        Self { text, sha1 }
    }
}

/// A script with its key and arguments.
#[derive(Clone)]
pub(super) struct Call {
    script: &'static Script,
    key: String,
    arguments: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn new(script: &'static Script, key: String) -> Self {
        Self {
            script,
            key,
            arguments: Vec::new(),
        }
    }

    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.arguments.extend(argument.to_redis_args());
        self
    }

    #[cfg(feature = "connections")]
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The command by name, which a server refuses if it does not have the script.
    pub(super) fn by_name(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha1)
    }

    /// The command with the text, which the server keeps.
    pub(super) fn with_text(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(1).arg(&self.key).arg(&self.arguments);
        command
    }
}

macro_rules! part {
    ($name:literal) => {
        include_str!(concat!("../../layout/redis/", $name))
    };
}

const LIFE: &str = part!("life.lua");
/// Reads the record: the known formats of its head, then the head.
const READ: &[&str] = &[
    part!("read_1.lua"),
    #[cfg(feature = "test-format")]
    part!("read_0.lua"),
    part!("record.lua"),
];
/// Writes the record: first the differences of other formats than the newest, then the whole record.
const WRITE: &[&str] = &[
    #[cfg(feature = "test-format")]
    part!("write_0.lua"),
    part!("write.lua"),
];

/// A script that does not rewrite the record.
fn reading(text: &'static str) -> Script {
    Script::new(&[READ, &[text]].concat())
}

fn writing(text: &'static str) -> Script {
    Script::new(&[READ, &[text], WRITE].concat())
}

/// Writes a record if there is no live one.
pub(super) static INSERT: LazyLock<Script> = LazyLock::new(|| writing(part!("insert.lua")));
/// Overwrites the expected record.
pub(super) static REPLACE: LazyLock<Script> = LazyLock::new(|| writing(part!("replace.lua")));
/// Writes a record of another store if there is no live one, or over one version.
pub(super) static IMPORT: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[&[LIFE], READ, &[part!("import.lua")], WRITE].concat()));
/// Moves the expiry later.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| reading(part!("touch.lua")));
/// Removes a record that meets the condition.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| reading(part!("delete.lua")));
/// Adds a member to an owner's index.
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| Script::new(&[LIFE, part!("enter.lua")]));
/// Reads a part of an owner's index in order of score and member.
pub(super) static PAGE: LazyLock<Script> = LazyLock::new(|| Script::new(&[LIFE, part!("page.lua")]));
