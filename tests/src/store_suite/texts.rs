//! Properties of texts: keys, owners and values compare as bytes and are returned unchanged.

use tessera::store::Store;

use super::property::Need::OwnerIndex;
use super::property::{Property, properties};
use super::subject::{Check, Subject, equal, is_missing, said};

pub(super) fn properties<S: Store>() -> Vec<Property<S>> {
    properties![
        [] => values_come_back_byte_for_byte,
        [] => values_with_nul_come_back_byte_for_byte,
        [] => keys_that_merely_look_alike_are_different,
        [OwnerIndex] => owners_that_merely_look_alike_are_different,
        [OwnerIndex] => keys_and_owners_with_nul_are_told_apart,
        [OwnerIndex] => keys_and_owners_are_never_taken_for_a_pattern_or_a_command,
    ]
}

/// Texts that some collation, trimming or parsing would confuse with each other.
const ALIKE: [&str; 22] = [
    "key", "Key", "KEY", "key ", " key", "key\t", "ke", "key1", "key01", "1", "01", "1.0", "1e0", "ß", "ss",
    "é", "e\u{301}", "e", "ı", "i", "İ", "ſ",
];

async fn values_come_back_byte_for_byte<S: Store>(it: Subject<S>) -> Check {
    let values = [
        // A store that parses and rewrites values would change these.
        r#"{"b":1,"a":2,"a":3,  "n":1.0,"big":12345678901234567890,"z":"\u0000"}"#,
        " leading and trailing \r\n",
        "null",
        "0012",
        "1e400",
        "'; DROP TABLE records; --",
        "\\ %s {} $1 ? :a @b",
        "\u{feff}a byte order mark, \u{202e}right to left, \u{200b}nothing",
        "é e\u{301} 漢字 \u{1f980} \u{10ffff} \u{e000} \u{ffff}",
        "\u{1}\u{1b}[31m\u{7f}\u{80}\u{85}",
        "AAECAwQF//79",
        "\\x00ff",
    ];
    for (n, value) in values.into_iter().enumerate() {
        let key = format!("key {n}");
        let version = it.insert(&key, value, Some("owner")).await?;
        equal("the value", &*said("get", it.get(&key).await)?.value, value)?;
        said(
            "replace",
            it.replace(&key, value, version, Some("owner"), Some("owner"))
                .await,
        )?;
        equal("the value", &*said("get", it.get(&key).await)?.value, value)?;
    }
    Ok(())
}

async fn values_with_nul_come_back_byte_for_byte<S: Store>(it: Subject<S>) -> Check {
    for (n, value) in ["\0", "a\0b", "\0\0\0a", "a\0"].into_iter().enumerate() {
        let key = format!("key {n}");
        it.insert(&key, value, None).await?;
        equal("the value", &*said("get", it.get(&key).await)?.value, value)?;
    }
    Ok(())
}

async fn keys_that_merely_look_alike_are_different<S: Store>(it: Subject<S>) -> Check {
    for key in ALIKE {
        is_missing("get before the insert", it.get(key).await)?;
        it.insert(key, key, None).await?;
    }
    for key in ALIKE {
        equal("the value", &*said("get", it.get(key).await)?.value, key)?;
        equal(
            "the delete",
            said("delete", it.delete_bare(it.now, key).await)?,
            true,
        )?;
    }
    Ok(())
}

async fn owners_that_merely_look_alike_are_different<S: Store>(it: Subject<S>) -> Check {
    for (n, owner) in ALIKE.into_iter().enumerate() {
        it.insert(&format!("key {n}"), "1", Some(owner)).await?;
    }
    for (n, owner) in ALIKE.into_iter().enumerate() {
        equal("the list", it.owned(owner).await?, vec![format!("key {n}")])?;
    }
    Ok(())
}

async fn keys_and_owners_with_nul_are_told_apart<S: Store>(it: Subject<S>) -> Check {
    let names = ["a", "a\0", "a\0b", "a\0c", "\0", "\0\0"];
    for name in names {
        it.insert(name, name, Some(name)).await?;
    }
    for name in names {
        equal("the value", &*said("get", it.get(name).await)?.value, name)?;
        equal("the list", it.owned(name).await?, vec![name.to_owned()])?;
    }
    Ok(())
}

async fn keys_and_owners_are_never_taken_for_a_pattern_or_a_command<S: Store>(it: Subject<S>) -> Check {
    it.insert("plain", "1", Some("plain")).await?;
    let names = [
        "*",
        "%",
        "_____",
        "[a-z]*",
        "pl?in",
        "' OR 1=1 --",
        "{plain}",
        "plain:1",
        "a:b",
        "$",
        "\\",
    ];
    for name in names {
        is_missing("get", it.get(name).await)?;
        equal("the list", it.owned(name).await?, vec![])?;
        equal(
            "the delete",
            said("delete", it.delete_of(it.now, name, name).await)?,
            false,
        )?;
        it.insert(name, "2", Some(name)).await?;
        equal("the list", it.owned(name).await?, vec![name.to_owned()])?;
    }
    equal("the plain one", &*said("get", it.get("plain").await)?.value, "1")
}
