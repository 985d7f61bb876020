"""The store of the example keeps the contract of stores. The conformance runner has the whole suite."""

from __future__ import annotations

import pytest
from own_store import SWEEP_FROM, SWEEP_GRACE, DictStore

from tessera import stores
from tessera.stores import Placement


def placed(expires_at: int = 100, ends_at: int = 200, owner: str | None = None) -> Placement:
    return Placement(owner, None, None, expires_at, ends_at)


def test_the_example_takes_the_longest_texts_and_refuses_one_byte_more() -> None:
    store = DictStore()
    most = store.describe()
    key, value, owner = "é" * (most.maximum_key_bytes // 2), "v" * most.maximum_value_bytes, "o" * most.maximum_owner_bytes
    version = store.insert(0, key, value, placed(owner=owner))
    for longer in ((key + "k", "", ""), (key, value + "v", ""), (key, "", owner + "o")):
        with pytest.raises(stores.TooLarge):
            store.insert(0, *longer[:2], placed(owner=longer[2]))
        with pytest.raises(stores.TooLarge):
            store.replace(0, *longer[:2], stores.IfVersion(version), placed(owner=longer[2]))
    assert store.get(0, key, True).version == version


def test_the_example_takes_a_hundred_keys_and_rows_at_once_and_no_more() -> None:
    store = DictStore()
    for number in range(101):
        store.insert(0, f"{number:03}", "", placed(owner="o"))
    keys = [f"{number:03}" for number in range(101)]
    deletions = [stores.Deletion(key) for key in keys]
    for limit in (0, 101):
        with pytest.raises(stores.StoreError):
            store.list_owned(0, "o", "", limit)
    with pytest.raises(stores.StoreError):
        store.get_many(0, keys)
    with pytest.raises(stores.StoreError):
        store.delete_many(0, deletions, "o")
    page = store.list_owned(0, "o", "", 100)
    assert [row.key for row in store.list_owned(0, "o", page.next or "", 100).rows] == keys[100:]
    assert len(store.get_many(0, keys[:100])) == store.delete_many(0, deletions[:100], "o") == 100


def test_an_entry_of_the_example_never_outlives_its_end() -> None:
    store = DictStore()
    version = store.insert(0, "k", "", placed(expires_at=300))
    assert store.get(0, "k", True).expires_at == 200
    store.replace(0, "k", "", stores.IfVersion(version), placed())
    store.touch(0, "k", None, 500)
    assert store.get(199, "k", True).expires_at == 200
    with pytest.raises(stores.Missing):
        store.get(200, "k", True)


def test_the_example_forgets_what_expired_an_hour_ago_and_nothing_else() -> None:
    store, now = DictStore(), SWEEP_GRACE + 1000
    for number in range(SWEEP_FROM):
        # Each half a second, the first of them an hour and a second ago.
        store.insert(0, f"{number}", "", placed(expires_at=number * 500, ends_at=now))
    store.insert(now, "new", "", placed(expires_at=now + 1, ends_at=now + 1))
    assert {"0", "1", "2", "3", "new"} & set(store._records) == {"3", "new"}
    assert len(store._records) == SWEEP_FROM - 2
