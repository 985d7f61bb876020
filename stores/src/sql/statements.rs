//! The SQL of the store, built once for its table.

use super::dialect::{Both, Dialect, Purpose, Table, of_both};
use super::statement::Sql;

/// The numbers of keys for which there is a statement. A batch uses the next larger one, and repeats its keys to fill it.
/// A statement for every length would mean 100 prepared statements on each connection.
const BATCHES: [usize; 3] = [1, 10, 100];

/// A statement for each length of [`BATCHES`].
pub(super) struct Batched([Sql; 3]);

/// The removal of live entries, and that of the same entries if they have expired.
pub(super) struct Removal<S> {
    pub(super) live: S,
    pub(super) expired: S,
}

pub(super) struct Statements {
    pub(super) get: Sql,
    pub(super) get_many: Batched,
    pub(super) insert: Sql,
    pub(super) revive: Option<Sql>,
    pub(super) replace_version: Sql,
    pub(super) replace_guard: Sql,
    pub(super) overwrite: Sql,
    pub(super) touch: Sql,
    pub(super) is_live: Sql,
    pub(super) delete_by_owner: Removal<Sql>,
    pub(super) delete_by_guard: Removal<Sql>,
    pub(super) delete_many: Removal<Batched>,
    pub(super) delete_pairs: Removal<Batched>,
    pub(super) list_owned: Sql,
    pub(super) list_all: Sql,
    pub(super) count: Sql,
    pub(super) count_live: Sql,
    pub(super) sweep: Sql,
    pub(super) notify: Option<Sql>,
    pub(super) try_sweep_lock: Sql,
    pub(super) sweep_unlock: Sql,
    pub(super) try_sweep_transaction_lock: Option<Sql>,
}

impl Statements {
    pub(super) fn new(dialect: Dialect, table: &Table) -> Self {
        let own = |text: &str| -> Sql { dialect.text(table, text).into() };
        let sql = |both: Both| own(dialect.choose(both));
        let batched = |both: Both| Batched::new(dialect, table, both);
        Self {
            get: sql(of_both!("get")),
            get_many: batched(of_both!("get_many")),
            insert: sql(of_both!("insert")),
            revive: dialect.revive().map(own),
            replace_version: sql(of_both!("replace_version")),
            replace_guard: sql(of_both!("replace_guard")),
            overwrite: sql(of_both!("overwrite")),
            touch: sql(of_both!("touch")),
            is_live: sql(of_both!("is_live")),
            delete_by_owner: Removal {
                live: sql(of_both!("delete_by_owner")),
                expired: sql(of_both!("delete_by_owner_expired")),
            },
            delete_by_guard: Removal {
                live: sql(of_both!("delete_by_guard")),
                expired: sql(of_both!("delete_by_guard_expired")),
            },
            delete_many: Removal {
                live: batched(of_both!("delete_many")),
                expired: batched(of_both!("delete_many_expired")),
            },
            delete_pairs: Removal {
                live: batched(of_both!("delete_pairs")),
                expired: batched(of_both!("delete_pairs_expired")),
            },
            list_owned: sql(of_both!("list_owned")),
            list_all: sql(of_both!("list_all")),
            count: sql(of_both!("count")),
            count_live: sql(of_both!("count_live")),
            sweep: sql(of_both!("sweep")),
            notify: dialect.notify().map(own),
            try_sweep_lock: own(&dialect.try_lock(Purpose::Sweep)),
            sweep_unlock: own(&dialect.unlock(Purpose::Sweep)),
            try_sweep_transaction_lock: dialect.try_transaction_lock(Purpose::Sweep).map(|sql| own(&sql)),
        }
    }
}

impl Batched {
    pub(super) fn new(dialect: Dialect, table: &Table, both: Both) -> Self {
        let one = |keys| dialect.text(table, &for_keys(dialect.choose(both), keys)).into();
        Self(BATCHES.map(one))
    }

    /// The statement for a number of keys, at most 100, and the number of its places.
    pub(super) fn of_size(&self, keys: usize) -> (&Sql, usize) {
        let place = BATCHES.iter().position(|size| *size >= keys).unwrap_or(2);
        (&self.0[place], BATCHES[place])
    }
}

/// The maximum number of keys of a batch.
#[cfg(feature = "connections")]
pub(super) const MAXIMUM_BATCH: usize = BATCHES[2];

/// The SQL with a place for each key, or for each pair of a key and its guard.
pub(super) fn for_keys(sql: &str, keys: usize) -> String {
    let list = |one: &str| vec![one; keys].join(", ");
    sql.replace("{keys}", &list("?"))
        .replace("{pairs}", &list("(?, ?)"))
}

#[cfg(test)]
mod tests {
    use super::super::dialect::{MYSQL, POSTGRES};
    use super::*;
    use crate::sections::testing::{names, sections};

    fn table(name: &str) -> Table {
        Table {
            schema: None,
            name: name.to_owned(),
        }
    }

    #[test]
    fn parameters_are_numbered_for_postgres_and_names_are_quoted() {
        let postgres = Statements::new(Dialect::Postgres, &table("order"));
        assert_eq!(
            &*postgres.is_live,
            "SELECT version FROM \"order\" WHERE session_key = $1 AND expires_at > $2"
        );
        let mysql = Statements::new(Dialect::MySql, &table("order"));
        assert_eq!(
            &*mysql.is_live,
            "SELECT version FROM `order` WHERE session_key = ? AND expires_at > ?"
        );
    }

    #[test]
    fn every_batch_has_a_statement_that_is_long_enough() {
        let statements = Statements::new(Dialect::MySql, &table("t"));
        for keys in 1..=100 {
            let (sql, size) = statements.get_many.of_size(keys);
            assert!(size >= keys);
            assert_eq!(sql.matches('?').count(), size + 1);
            let (sql, size) = statements.delete_pairs.live.of_size(keys);
            assert!(size >= keys);
            assert_eq!(sql.matches('?').count(), 3 * size + 2);
        }
    }

    /// With one key, a list of keys has one parameter, and a list of pairs two.
    #[test]
    fn every_section_is_in_its_file_once_and_lists_its_parameters() {
        for file in [POSTGRES, MYSQL] {
            for (name, sql, listed) in sections(file) {
                let pairs = usize::from(sql.contains("{pairs}"));
                let taken = for_keys(sql, 1).matches('?').count();
                assert_eq!(taken, listed + pairs, "{name}");
            }
        }
    }

    #[test]
    fn both_files_have_the_same_sections_except_for_those_that_one_of_them_needs_alone() {
        let alone = |names: &[&'static str], others: &[&str]| -> Vec<&str> {
            let is_alone = |name: &&&str| !others.contains(*name);
            names.iter().filter(is_alone).copied().collect()
        };
        let (postgres, mysql) = (names(POSTGRES), names(MYSQL));
        let transactions = ["transaction", "transaction_lock", "try_transaction_lock"];
        assert_eq!(
            alone(&postgres, &mysql),
            [&transactions[..], &["notify"]].concat()
        );
        assert_eq!(
            alone(&mysql, &postgres),
            ["message_limit", "is_read_only", "revive"]
        );
    }
}
