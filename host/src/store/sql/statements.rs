//! The SQL of the store, made once for its table.

use super::dialect::{Dialect, Purpose};
use super::driver::Sql;

/// The longest value that a page brings along: so a page of 100 rows is at most 1.6 MB.
pub(super) const PAGE_VALUE_BYTES: usize = 16 * 1024;

/// For how many keys at once there is a statement: a batch takes the next larger, filled up with its first key.
/// One statement for each length would be 100 to keep, on each connection.
const BATCHES: [usize; 3] = [1, 10, 100];

pub(super) struct Statements {
    pub(super) get: Sql,
    pub(super) insert: Sql,
    pub(super) revive: Option<Sql>,
    pub(super) replace: Sql,
    pub(super) overwrite: Sql,
    pub(super) touch: Sql,
    pub(super) is_live: Sql,
    pub(super) delete_live: Sql,
    pub(super) delete_expired: Sql,
    pub(super) list_owned: Sql,
    pub(super) list_all: Sql,
    pub(super) count: Sql,
    pub(super) count_live: Sql,
    pub(super) sweep: Sql,
    /// PostgreSQL's.
    pub(super) notify: Sql,
    pub(super) try_sweep_lock: Sql,
    pub(super) sweep_unlock: Sql,
    get_many: [Sql; 3],
    delete_many_live: [Sql; 3],
    delete_many_expired: [Sql; 3],
}

impl Statements {
    pub(super) fn new(dialect: Dialect, table: &str) -> Self {
        let sql = |text: &str| -> Sql { dialect.text(table, text).into() };
        let batches =
            |text: &str| BATCHES.map(|keys| sql(&text.replace("{keys}", &vec!["?"; keys].join(", "))));
        let listed = format!(
            "version, touched_at, expires_at, CASE WHEN octet_length(value) <= {PAGE_VALUE_BYTES} THEN value END"
        );
        Self {
            get: sql("SELECT value, version, expires_at FROM {table} WHERE session_key = ? AND expires_at > ?"),
            insert: sql(dialect.insert()),
            revive: dialect.revive().map(sql),
            replace: sql(
                "UPDATE {table} SET value = ?, version = ?, owner = ?, touched_at = ?, expires_at = ?, ends_at = ?
                 WHERE session_key = ? AND version = ? AND expires_at > ?",
            ),
            overwrite: sql(
                "UPDATE {table} SET value = ?, version = ?, owner = ?, touched_at = greatest(touched_at, ?),
                     expires_at = least(greatest(expires_at, ?), ?), ends_at = ?
                 WHERE session_key = ? AND (expires_at <= ? OR version = ?)",
            ),
            touch: sql(
                "UPDATE {table} SET expires_at = least(?, ends_at), touched_at = greatest(?, touched_at)
                 WHERE session_key = ? AND expires_at > ? AND expires_at <= least(?, ends_at)",
            ),
            is_live: sql("SELECT version FROM {table} WHERE session_key = ? AND expires_at > ?"),
            delete_live: sql("DELETE FROM {table} WHERE session_key = ? AND expires_at > ?"),
            delete_expired: sql("DELETE FROM {table} WHERE session_key = ? AND expires_at <= ?"),
            list_owned: sql(&format!(
                "SELECT id, session_key, {listed} FROM {{table}}
                 WHERE owner = ? AND id > ? AND expires_at > ? ORDER BY id LIMIT ?"
            )),
            list_all: sql(&format!(
                "SELECT id, session_key, {listed}, owner, ends_at FROM {{table}}
                 WHERE id > ? AND expires_at > ? ORDER BY id LIMIT ?"
            )),
            count: sql("SELECT count(*) FROM {table}"),
            count_live: sql("SELECT count(*) FROM {table} WHERE expires_at > ?"),
            sweep: sql(dialect.sweep()),
            notify: sql("SELECT pg_notify(convert_from(?, 'UTF8'), convert_from(?, 'UTF8'))"),
            try_sweep_lock: sql(&dialect.try_lock(Purpose::Sweep)),
            sweep_unlock: sql(&dialect.unlock(Purpose::Sweep)),
            get_many: batches(
                "SELECT session_key, value, version, expires_at FROM {table}
                 WHERE session_key IN ({keys}) AND expires_at > ?",
            ),
            delete_many_live: batches(
                "DELETE FROM {table} WHERE session_key IN ({keys}) AND owner = ? AND expires_at > ?",
            ),
            delete_many_expired: batches(
                "DELETE FROM {table} WHERE session_key IN ({keys}) AND owner = ? AND expires_at <= ?",
            ),
        }
    }

    pub(super) fn get_many(&self, keys: usize) -> (&Sql, usize) {
        of_size(&self.get_many, keys)
    }

    pub(super) fn delete_many_live(&self, keys: usize) -> (&Sql, usize) {
        of_size(&self.delete_many_live, keys)
    }

    pub(super) fn delete_many_expired(&self, keys: usize) -> (&Sql, usize) {
        of_size(&self.delete_many_expired, keys)
    }
}

/// The statement for so many keys, and for how many it is.
fn of_size(statements: &[Sql; 3], keys: usize) -> (&Sql, usize) {
    let place = BATCHES.iter().position(|size| *size >= keys).unwrap_or(2);
    (&statements[place], BATCHES[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_for_postgres_and_names_are_quoted() {
        let postgres = Statements::new(Dialect::Postgres, "order");
        assert_eq!(
            &*postgres.delete_live,
            "DELETE FROM \"order\" WHERE session_key = $1 AND expires_at > $2"
        );
        let mysql = Statements::new(Dialect::MySql, "order");
        assert_eq!(
            &*mysql.delete_live,
            "DELETE FROM `order` WHERE session_key = ? AND expires_at > ?"
        );
    }

    #[test]
    fn every_batch_has_a_statement_that_is_long_enough() {
        let statements = Statements::new(Dialect::MySql, "t");
        for keys in 1..=100 {
            let (sql, size) = statements.get_many(keys);
            assert!(size >= keys);
            assert_eq!(sql.matches('?').count(), size + 1);
        }
    }
}
