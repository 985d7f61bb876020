//! The SQL of the mailboxes, built once for its tables.

use super::super::dialect::{Both, Dialect, Table, of_mailbox};
use super::super::statement::Sql;
use super::super::statements::Batched;

pub(super) struct Statements {
    pub(super) open: Sql,
    pub(super) delete_expired: Sql,
    pub(super) find: Sql,
    pub(super) find_key: Sql,
    pub(super) stamp_of: Sql,
    pub(super) oldest: Sql,
    pub(super) evict: Sql,
    pub(super) store: Sql,
    pub(super) save: Sql,
    pub(super) save_quietly: Sql,
    pub(super) watch: Sql,
    pub(super) unwatch: Sql,
    pub(super) read: Sql,
    pub(super) keep: Batched,
    pub(super) live: Batched,
    pub(super) look: Batched,
    pub(super) walk: Sql,
    pub(super) changed: Sql,
    pub(super) notice: Batched,
    pub(super) sweep: Sql,
}

impl Statements {
    pub(super) fn new(dialect: Dialect, table: &Table) -> Self {
        let sql = |both: Both| -> Sql { dialect.text(table, dialect.choose(both)).into() };
        let batched = |both: Both| Batched::new(dialect, table, both);
        Self {
            open: sql(of_mailbox!("open")),
            delete_expired: sql(of_mailbox!("delete_expired")),
            find: sql(of_mailbox!("find")),
            find_key: sql(of_mailbox!("find_key")),
            stamp_of: sql(of_mailbox!("stamp_of")),
            oldest: sql(of_mailbox!("oldest")),
            evict: sql(of_mailbox!("evict")),
            store: sql(of_mailbox!("store")),
            save: sql(of_mailbox!("save")),
            save_quietly: sql(of_mailbox!("save_quietly")),
            watch: sql(of_mailbox!("watch")),
            unwatch: sql(of_mailbox!("unwatch")),
            read: sql(of_mailbox!("read")),
            keep: batched(of_mailbox!("keep")),
            live: batched(of_mailbox!("live")),
            look: batched(of_mailbox!("look")),
            walk: sql(of_mailbox!("walk")),
            changed: sql(of_mailbox!("changed")),
            notice: batched(of_mailbox!("notice")),
            sweep: sql(of_mailbox!("sweep")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::dialect::{MAILBOX_MYSQL, MAILBOX_POSTGRES};
    use super::super::super::statements::for_keys;
    use crate::sections::testing::{names, sections};

    #[test]
    fn every_section_is_in_both_files_once_and_lists_its_parameters() {
        for file in [MAILBOX_POSTGRES, MAILBOX_MYSQL] {
            for (name, sql, listed) in sections(file) {
                assert_eq!(for_keys(sql, 1).matches('?').count(), listed, "{name}");
            }
        }
        assert_eq!(names(MAILBOX_POSTGRES), names(MAILBOX_MYSQL));
    }
}
