"""Django's session behaviours, after its documentation and its tests of session engines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta

import django_project  # noqa: F401
import pytest
from conftest import KEYS
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.test import override_settings
from django.utils import timezone
from own_stores import Asynchronous

from tessera import errors
from tessera.django import engine
from tessera.django.sessions import SessionStore
from tessera.testing import Clock

USER = "_auth_user_id"


@pytest.fixture
def session() -> SessionStore:
    """A session that was never stored."""
    return SessionStore()


def reopened(session: SessionStore) -> SessionStore:
    return SessionStore(session.session_key)


def test_a_new_session_is_neither_modified_nor_accessed(session: SessionStore) -> None:
    assert (session.modified, session.accessed) == (False, False)
    assert session.session_key is None
    assert session.get("a") is None and session.accessed and not session.modified


def test_it_is_a_dict_that_notes_modifications(session: SessionStore) -> None:
    session["a"] = 1
    assert session.modified and session["a"] == 1 and "a" in session and session.has_key("a")
    assert session.pop("a") == 1 and session.pop("a", None) is None
    with pytest.raises(KeyError):
        session.pop("a")
    session.update({"b": 2})
    assert session.setdefault("b", 3) == 2 and session.setdefault("c", 4) == 4
    assert list(session.keys()) == ["b", "c"] and list(session.values()) == [2, 4]
    assert list(session.items()) == [("b", 2), ("c", 4)]
    session.clear()
    assert list(session.items()) == [] and session.accessed and session.modified and session.is_empty()


def test_save_and_create_store_the_session(session: SessionStore) -> None:
    session["a"] = {"b": [1]}
    session.save()
    assert session.session_key is not None and SessionStore().exists(session.session_key)
    assert reopened(session)["a"] == {"b": [1]}
    empty = SessionStore()
    empty.create()
    assert empty.session_key and empty.exists(empty.session_key) and empty.modified
    assert dict(reopened(empty).items()) == {}


def test_a_save_does_not_clear_the_data(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    assert session["a"] == 1


def test_nested_changes_are_saved_with_modified(session: SessionStore) -> None:
    session["cart"] = {"items": []}
    session.save()
    again = reopened(session)
    again["cart"]["items"].append(1)
    assert not again.modified
    again.modified = True
    again.save()
    assert reopened(session)["cart"] == {"items": [1]}
    del again["cart"]
    again.save()
    assert "cart" not in reopened(session)


def test_a_copy_that_was_equal_when_it_was_saved_is_the_field_from_then_on(session: SessionStore) -> None:
    session["cart"] = [1]
    session.save()
    again = reopened(session)
    before = again["cart"]
    cart = again["cart"] = list(before)
    again["a"] = 1
    again.save()
    assert again["cart"] is cart
    cart.append(2)
    again.save()
    assert again["cart"] is cart and reopened(session)["cart"] == [1, 2]
    # The list of before is not that of the field any more.
    before.append(3)
    again["a"] = 2
    again.save()
    assert reopened(session)["cart"] == [1, 2]
    cart.append(4)
    again.save()
    assert reopened(session)["cart"] == [1, 2, 4]


def test_a_list_that_another_request_has_changed_is_another_one_after_the_save(session: SessionStore) -> None:
    session["cart"] = [1]
    session.save()
    again, other = reopened(session), reopened(session)
    cart = again["cart"] = list(again["cart"])
    other["cart"] = [1, 2]
    other.save()
    again["a"] = 1
    again.save()
    assert again["cart"] == [1, 2]
    cart.append(3)
    again.save()
    again["cart"].append(4)
    again.save()
    assert reopened(session)["cart"] == [1, 2, 4]


def test_values_of_one_type_replace_equal_values_of_another(session: SessionStore) -> None:
    session["a"], session["b"] = 1, [1]
    session.save()
    session["a"], session["b"] = True, [True]
    session.save()
    again = reopened(session)
    assert again["a"] is True and again["b"] == [True]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1, {"a": 0}], [True, {"a": False}]),
        ([1], [1.0]),
        ([[True]], [[1]]),
        ({"a": {"b": 1.0}}, {"a": {"b": 1}}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (0.0, -0.0),
        ([0.0], [-0.0]),
        ([1, 2], [1]),
        ([1], {"a": 1}),
    ],
)
def test_a_value_that_is_written_in_another_way_replaces_an_equal_one(
    session: SessionStore, before: object, after: object
) -> None:
    session["v"] = before
    session.save()
    again = reopened(session)
    again["v"] = after
    again.save()
    assert repr(reopened(session)["v"]) == repr(after)


def test_a_value_that_is_written_alike_is_no_change(session: SessionStore) -> None:
    value = {"a": [1, 1.0, True, None, "x", {"b": []}]}
    session["v"] = value
    session.save()
    one, two = reopened(session), reopened(session)
    one["v"] = {"a": [1, 1.0, True, None, "x", {"b": []}]}
    two["v"] = "of another request"
    two.save()
    one.save()
    assert reopened(session)["v"] == "of another request"


def test_a_value_that_contains_itself_is_refused(session: SessionStore) -> None:
    one, other = list[object](), list[object]()
    session["v"] = one
    session.save()
    session._opened["v"] = one
    one.append(one)
    other.append(other)
    session["v"] = other
    with pytest.raises(errors.InvalidValueError):
        session.save()


def test_delete_ends_this_session_or_that_of_a_key(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    other = SessionStore()
    other.create()
    session.delete(other.session_key)
    assert not session.exists(other.session_key or "") and session.exists(session.session_key or "")
    session.delete()
    assert not session.exists(session.session_key or "")
    session.delete("ts1.none")
    SessionStore().delete()


def test_flush_ends_the_session_and_begins_an_empty_one(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    before = session.session_key or ""
    session.flush()
    assert not session.exists(before) and session.session_key is None
    assert session.modified and session.accessed and session.is_empty()
    session["b"] = 2
    session.save()
    assert session.session_key != before and dict(reopened(session).items()) == {"b": 2}


def test_a_cycled_key_changes_with_the_save_and_keeps_the_data(session: SessionStore) -> None:
    session["a"], session["c"] = "b", "d"
    session.save()
    before = session.session_key or ""
    session.cycle_key()
    session.save()
    assert session.session_key != before and not session.exists(before)
    assert dict(reopened(session).items()) == {"a": "b", "c": "d"}
    # A session that was not loaded yet.
    again = reopened(session)
    again.cycle_key()
    again.save()
    assert dict(reopened(again).items()) == {"a": "b", "c": "d"} and not again.exists(session.session_key or "")


def test_a_login_authenticates_and_a_flush_logs_out(session: SessionStore) -> None:
    session["cart"] = [1]
    session.save()
    before = session.session_key or ""
    # As django.contrib.auth.login does.
    session.cycle_key()
    session[USER] = "7"
    session.save()
    opened = engine().open(session.session_key or "")
    assert opened.subject == "7" and opened["cart"] == [1]
    with pytest.raises(errors.ReplacedError):
        engine().open(before)
    # A changed password cycles the key of the same user.
    second = session.session_key or ""
    session.cycle_key()
    session.save()
    assert engine().open(session.session_key or "").subject == "7" and not session.exists(second)
    assert len(engine().list("7").items) == 1
    last = session.session_key or ""
    session.flush()
    assert engine().list("7").items == () and not session.exists(last)


def test_another_user_in_the_session_is_another_login_and_none_is_a_logout(session: SessionStore) -> None:
    session[USER], session["a"] = "8", 1
    session.save()
    first = session.session_key or ""
    session[USER] = "9"
    session.save()
    assert engine().list("8").items == () and len(engine().list("9").items) == 1
    assert not session.exists(first)
    del session[USER]
    session.save()
    assert engine().list("9").items == () and dict(reopened(session).items()) == {"a": 1}


def test_an_invalid_key_and_an_empty_one_give_a_new_session() -> None:
    for key in ("1", "x" * 5000, "ts1.k.none.none", "a\0b"):
        session = SessionStore(key)
        session["a"] = 1
        session.save()
        assert session.session_key != key and session["a"] == 1
    assert SessionStore("").session_key is None


def test_no_session_has_an_absent_or_empty_key() -> None:
    session = SessionStore()
    assert not session.exists(session.session_key) and not session.exists("")
    assert not asyncio.run(session.aexists(None))


def test_a_session_that_was_deleted_is_read_as_an_empty_one(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    ended = session.session_key or ""
    again = reopened(session)
    again.delete()
    assert again.get("a") is None and again.session_key is None
    again["b"] = 2
    again.save()
    assert dict(reopened(again).items()) == {"b": 2} and not again.exists(ended)


def test_load_reads_the_store_again_and_keeps_the_changes_of_this_session(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    other = reopened(session)
    other["b"] = 2
    other.save()
    session["c"] = 3
    assert session.load() == {"a": 1, "b": 2}
    session.save()
    assert dict(reopened(session).items()) == {"a": 1, "b": 2, "c": 3}
    other["d"] = 4
    other.save()
    del session._session_cache
    assert session["d"] == 4


def test_load_after_a_logout_elsewhere_is_empty(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    again = reopened(session)
    assert again["a"] == 1
    reopened(session).delete()
    assert again.load() == {} and again.session_key is None
    session["a"] = 2
    with pytest.raises(UpdateError):
        session.save()
    assert asyncio.run(session.aload()) == {}


def test_loading_a_key_that_opens_nothing_creates_no_record() -> None:
    session = SessionStore("someunknownkey")
    session.load()
    assert session.session_key is None and not session.exists("someunknownkey")


def test_a_save_does_not_resurrect_a_session_that_was_logged_out_elsewhere(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    one, two = reopened(session), reopened(session)
    two["b"] = 2
    one.flush()
    with pytest.raises(UpdateError):
        two.save()
    assert not two.exists(session.session_key or "")


def test_expiry_settings_are_djangos(session: SessionStore) -> None:
    assert session.get_expiry_age() == settings.SESSION_COOKIE_AGE
    session.set_expiry(10)
    assert session.get_expiry_age() == 10 and not session.get_expire_at_browser_close()
    session.set_expiry(timedelta(seconds=20))
    assert 18 <= session.get_expiry_age() <= 20
    session.set_expiry(timezone.now() + timedelta(seconds=30))
    session.save()
    assert 27 <= reopened(session).get_expiry_age() <= 30
    session.set_expiry(0)
    assert session.get_expire_at_browser_close() is True
    session.set_expiry(None)
    assert session.get_expiry_age() == settings.SESSION_COOKIE_AGE
    SessionStore.clear_expired()


def test_clear_empties_a_session_that_was_not_loaded_and_keeps_its_login(session: SessionStore) -> None:
    session[USER], session["a"] = "21", 1
    session.save()
    again = reopened(session)
    again.clear()
    again[USER] = "21"
    again.save()
    assert again.session_key == session.session_key and dict(again.items()) == {USER: "21"}
    again = reopened(session)
    again.clear()
    again.save()
    assert engine().list("21").items == () and not again.exists(session.session_key or "")


def test_flush_ends_the_session_of_the_right_one_of_several_cookies(session: SessionStore) -> None:
    session[USER] = "22"
    session.save()
    real = session.session_key or ""
    ended = SessionStore()
    ended.create()
    planted = ended.session_key or ""
    ended.delete()
    SessionStore(planted, [planted, real]).flush()
    assert not session.exists(real)


def test_a_login_by_another_service_is_not_ended_by_a_save(session: SessionStore) -> None:
    other = engine().create()
    token = other.authenticate("alice@elsewhere").token or ""
    django_side = SessionStore(token)
    django_side["page"] = 1
    django_side.save()
    opened = engine().open(token)
    assert opened.subject == "alice@elsewhere" and opened["page"] == 1
    django_side.cycle_key()
    django_side.save()
    assert engine().open(django_side.session_key or "").subject == "alice@elsewhere"


def test_a_second_save_reverts_nothing_that_others_have_changed(session: SessionStore) -> None:
    session.update({"sudo": True, "a": 1})
    session.save()
    one, two = reopened(session), reopened(session)
    assert one["a"] == two["a"] == 1
    two["cart"] = [1]
    del two["sudo"]
    two.save()
    one["x"] = 1
    one.save()
    one["y"] = 2
    one.save()
    assert dict(reopened(session).items()) == {"a": 1, "cart": [1], "x": 1, "y": 2}


def test_an_expiry_of_a_session_is_enforced_by_the_store(session: SessionStore) -> None:
    session["a"] = 1
    session.set_expiry(timedelta(milliseconds=50))
    session.save()
    assert set(session.keys()) == {"a", "_session_expiry"} == set(reopened(session).keys())
    time.sleep(0.06)
    again = reopened(session)
    assert again.get("a") is None and again.session_key is None
    assert not session.exists(session.session_key or "")


def test_a_key_does_not_exist_after_the_end_that_its_expiry_sets(clock: Clock) -> None:
    with override_settings(TESSERA={"store": "memory:", "keys": KEYS, "clock": clock}):
        session = SessionStore()
        session.set_expiry(10)
        session.save()
        key = session.session_key or ""
        clock.advance(9_999)
        assert SessionStore().exists(key)
        clock.advance(1)
        assert not SessionStore().exists(key) and not asyncio.run(SessionStore().aexists(key))
        assert SessionStore(key).load() == {}


@pytest.fixture
def local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A site without time zones, on a machine whose time is far from UTC."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    with override_settings(USE_TZ=False):
        yield
    monkeypatch.undo()
    time.tzset()


def test_an_expiry_of_a_site_without_time_zones_is_one_of_local_time(session: SessionStore, local_time: None) -> None:
    session.set_expiry(timedelta(hours=1))
    session["a"] = 1
    session.save()
    assert reopened(session)["a"] == 1
    session.set_expiry(timezone.now() - timedelta(hours=1))
    session.save()
    again = reopened(session)
    assert again.get("a") is None and again.session_key is None


def test_an_asynchronous_flush_makes_no_call_that_blocks() -> None:
    async def use() -> None:
        session = SessionStore()
        await session.aset("a", 1)
        await session.asave()
        key = session.session_key or ""
        await SessionStore(key).aflush()
        assert not await session.aexists(key)

    # A call that blocks is refused there.
    with override_settings(TESSERA={"store": Asynchronous(), "keys": KEYS}):
        asyncio.run(use())


def test_the_asynchronous_methods_do_the_same() -> None:
    async def use() -> None:
        session = SessionStore()
        await session.aset("a", 1)
        await session.asave()
        key = session.session_key or ""
        assert await session.aexists(key)
        again = SessionStore(key)
        assert await again.aget("a") == 1
        await again.acycle_key()
        await again.aset(USER, "11")
        await again.asave()
        assert not await again.aexists(key)
        assert (await engine().aopen(again.session_key or "")).subject == "11"
        await again.aflush()
        assert again.session_key is None and engine().list("11").items == ()
        created = SessionStore()
        await created.acreate()
        await created.adelete()
        assert not await created.aexists(created.session_key or "")
        await SessionStore.aclear_expired()

    asyncio.run(use())
