//! The kinds of stores in the matrix.

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of stores")]
pub enum Kind {
    Memory,
    Sqlite,
    Redis,
    Postgres,
    MariaDb,
    /// A store that is written in the language of the adapter.
    Own,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Memory,
        Self::Sqlite,
        Self::Redis,
        Self::Postgres,
        Self::MariaDb,
        Self::Own,
    ];

    /// The name in commands and in the matrix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::Own => "own",
        }
    }
}
