//! The SQLite store's file: whose it is, how it is made, who may read it, and who has it open.

use super::in_sqlite::{file, raw};
use super::*;

#[test]
fn a_file_of_a_newer_schema_is_refused_and_left_as_it_is() {
    let (_directory, path) = file();
    drop(sqlite().open(&path).expect("opened"));
    raw(&path)
        .pragma_update(None, "user_version", 99)
        .expect("written");
    let before = std::fs::read(&path).expect("read");
    let error = sqlite().open(&path).expect_err("refused");
    assert!(
        matches!(
            error,
            SqliteStoreError::Newer {
                found: 99,
                supported: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("sessions.db"), "{error}");
    assert!(std::fs::read(&path).expect("read") == before);
}

#[test]
fn a_file_of_another_application_is_refused_and_left_as_it_is() {
    for application_id in [0, 0x1234_5678] {
        let (_directory, path) = file();
        let other = raw(&path);
        other.execute_batch("CREATE TABLE theirs (a)").expect("made");
        other
            .pragma_update(None, "application_id", application_id)
            .expect("written");
        drop(other);
        let before = std::fs::read(&path).expect("read");
        let error = sqlite().open(&path).expect_err("refused");
        let SqliteStoreError::Foreign {
            application_id: found,
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(found, application_id);
        assert!(std::fs::read(&path).expect("read") == before);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let (_directory, path) = file();
    let text = "dear diary, ".repeat(1000);
    std::fs::write(&path, &text).expect("written");
    let error = sqlite().open(&path).expect_err("refused");
    assert!(
        matches!(error, SqliteStoreError::NotADatabase { .. }),
        "{error:?}"
    );
    assert!(std::fs::read_to_string(&path).expect("read") == text);
}

#[test]
fn a_missing_directory_is_named_and_not_made() {
    let (directory, _) = file();
    let missing = directory.path().join("missing");
    let error = sqlite().open(missing.join("sessions.db")).expect_err("refused");
    assert!(matches!(error, SqliteStoreError::NoDirectory { .. }), "{error:?}");
    assert!(!missing.exists());
    assert!(sqlite().open(directory.path()).is_err(), "a directory is no file");
}

#[test]
fn a_name_that_is_special_to_sqlite_is_a_file_here() {
    let (directory, _) = file();
    for name in [":memory:", "file:sessions.db?mode=memory", "100%25.db"] {
        let path = directory.path().join(name);
        let store = sqlite().open(&path).expect("opened");
        wait(store.insert(NOW, "key", "1", &until(60))).expect("inserted");
        drop(store);
        assert_eq!(
            sqlite()
                .open(&path)
                .expect("opened again")
                .len()
                .expect("counted"),
            1
        );
    }
}

#[cfg(unix)]
#[test]
fn the_file_its_log_and_its_shared_memory_are_readable_by_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = file();
    let store = sqlite().open(&path).expect("opened");
    wait(store.insert(NOW, "key", "1", &until(60))).expect("inserted");
    for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
        let mode = std::fs::metadata(path.with_file_name(name))
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn two_stores_on_one_file_see_each_others_writes() {
    let (_directory, path) = file();
    let [one, two] = [(); 2].map(|()| sqlite().open(&path).expect("opened"));
    let version = wait(one.insert(NOW, "key", "1", &until(60))).expect("inserted");
    let version =
        wait(two.replace(NOW, "key", "2", Expected::Version(version), &until(60))).expect("replaced");
    assert_eq!(&*at_once(one.get(NOW, "key", true)).expect("there").value, "2");
    one.close().expect("closed");
    wait(two.replace(NOW, "key", "3", Expected::Version(version), &until(60)))
        .expect("the other is still open");
}

#[test]
fn many_opening_a_new_file_at_once_make_one_schema() {
    for _ in 0..10 {
        let (_directory, path) = file();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let store = sqlite().open(path).expect("opened");
                    wait(store.insert(NOW, &n.to_string(), "1", &until(60))).expect("inserted");
                });
            }
        });
        assert_eq!(sqlite().open(&path).expect("opened").len().expect("counted"), 8);
    }
}
