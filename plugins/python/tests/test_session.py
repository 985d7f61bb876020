"""A session as a mapping, and its calls."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from typing import Any

import pytest
from conftest import KEYS, NOW

import tessera
from tessera import SigningKey, Tessera, errors
from tessera.testing import Clock


def stored(sessions: Tessera, **fields: Any) -> str:
    """The token of a stored session with these fields."""
    session = sessions.create()
    session.update(fields)
    token = session.save().token
    assert token is not None
    return token


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -(2**63),
        2**63 - 1,
        0.5,
        1.0,
        -0.0,
        "",
        "ü\0\n😀",
        b"",
        b"\x00\xff",
        [],
        {},
        [1, [2.5, None, "a", {"b": [True]}]],
        {"b": 1, "a": {"c": []}},
    ],
)
def test_a_value_is_read_as_it_was_set_also_from_the_store(sessions: Tessera, value: object) -> None:
    session = sessions.create()
    session["f"] = value
    opened = sessions.open(session.save().token or "")
    for found in (session["f"], opened["f"], opened.get("f")):
        assert type(found) is type(value)
        assert found == value
        assert repr(found) == repr(value)


def test_the_order_of_members_is_kept(sessions: Tessera) -> None:
    token = stored(sessions, f={"z": 1, "a": 2, "m": 3})
    assert list(sessions.open(token)["f"]) == ["z", "a", "m"]


class Colour(IntEnum):
    RED = 1


class Text(str):
    pass


def test_subclasses_and_tuples_are_stored_as_the_types_of_json(sessions: Tessera) -> None:
    token = stored(sessions, a=(1, (2,)), b=Colour.RED, c=Text("t"), d=OrderedDict(x=Text("y")))
    assert dict(sessions.open(token).items()) == {"a": [1, [2]], "b": 1, "c": "t", "d": {"x": "y"}}


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**63, "64 bits"),
        ([10**5000], "too large"),
        (float("nan"), "float"),
        ([float("inf")], "infinities"),
        ("\ud800", "surrogate"),
        (["\ud800"], "surrogate"),
        ({1: "a"}, "keys of a dict"),
        (object(), "object"),
        ([b"x"], "bytes"),
        (datetime.now(timezone.utc), "datetime"),
        ({1, 2}, "set"),
        (nested(65), "deep"),
        (circle(), "nested"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_and_nothing_changes(
    sessions: Tessera, value: object, says: str
) -> None:
    session = sessions.create()
    session["other"] = 1
    with pytest.raises(errors.InvalidValueError, match=says):
        session["f"] = value
    with pytest.raises(errors.InvalidValueError):
        session.update({"other": 2, "f": value})
    assert dict(session.items()) == {"other": 1}


def test_limits_of_the_policy_are_named(clock: Clock) -> None:
    sessions = Tessera(
        "memory:",
        keys=KEYS,
        policy={"maximum_fields": 2, "maximum_value_bytes": 20, "maximum_name_bytes": 4},
    )
    session = sessions.create()
    session.update(a=1, b=2)
    with pytest.raises(errors.LimitExceededError) as raised:
        session["c"] = 3
    assert (raised.value.limit, raised.value.maximum) == ("maximum-fields", 2)
    with pytest.raises(errors.LimitExceededError):
        session["a"] = "x" * 21
    with pytest.raises(errors.LimitExceededError):
        session["abcde"] = 1
    assert dict(session.items()) == {"a": 1, "b": 2}


def test_a_session_is_a_mutable_mapping(sessions: Tessera) -> None:
    session = sessions.create()
    assert len(session) == 0 and "a" not in session and 1 not in session
    session["a"] = 1
    assert session.setdefault("a", 2) == 1 and session.setdefault("b", [0]) == [0]
    session.update({"c": 3}, d=4)
    session.update([("e", 5)])
    assert list(session) == ["a", "b", "c", "d", "e"] == list(session.keys())
    assert list(session.values()) == [1, [0], 3, 4, 5]
    assert ("c", 3) in session.items() and len(session.items()) == 5
    assert session.pop("e") == 5 and session.pop("e", None) is None and session.get("e", 7) == 7
    assert session.popitem() == ("d", 4)
    for missing in (lambda: session["x"], lambda: session.pop("x"), lambda: session.__delitem__("x")):
        with pytest.raises(KeyError, match="x"):
            missing()
    with pytest.raises(TypeError):
        session[1] = 2  # type: ignore[index]
    with pytest.raises(TypeError):
        session.update({1: 2})  # type: ignore[dict-item]
    del session["a"]
    session.clear()
    assert dict(session.items()) == {}
    with pytest.raises(KeyError):
        session.popitem()


def test_lists_and_dicts_that_are_changed_in_place_are_saved(sessions: Tessera) -> None:
    token = stored(sessions, cart=[1], settings={"a": {"b": 1}})
    session = sessions.open(token)
    assert session["cart"] is session["cart"]
    assert not session.modified
    session["cart"].append(2)
    session["settings"]["a"]["b"] = 2
    assert session.modified
    session.save()
    assert not session.modified
    opened = sessions.open(token)
    assert opened["cart"] == [1, 2] and opened["settings"] == {"a": {"b": 2}}
    # One that the program has set is the field's, too.
    mine = ["x"]
    opened["mine"] = mine
    mine.append("y")
    assert opened.fork()["mine"] == ["x", "y"]
    # One whose field was set to another value since is not.
    before = opened["cart"]
    opened["cart"] = [9]
    before.append(3)
    opened.save()
    assert sessions.open(token)["cart"] == [9]
    # Nor is one whose field is gone.
    gone = opened.pop("cart")
    gone.append(1)
    opened.save()
    assert "cart" not in sessions.open(token)


def test_a_list_that_was_only_read_overwrites_no_change_of_others(sessions: Tessera) -> None:
    token = stored(sessions, cart=[1.0, {"a": 1e300}])
    reader, writer = sessions.open(token), sessions.open(token)
    assert reader["cart"] == [1, {"a": 1e300}]
    writer["cart"] = ["new"]
    writer.save()
    reader["other"] = 1
    reader.save()
    assert sessions.open(token)["cart"] == ["new"]
    # A save merges: the reader has the field of the others now.
    assert reader["cart"] == ["new"]


def test_two_saves_of_different_fields_are_both_kept(sessions: Tessera) -> None:
    token = stored(sessions)
    one, two = sessions.open(token), sessions.open(token)
    one["a"], two["b"] = 1, 2
    one.save()
    two.save()
    assert dict(sessions.open(token).items()) == {"a": 1, "b": 2}


def test_a_save_does_not_bring_back_what_was_logged_out(sessions: Tessera) -> None:
    token = stored(sessions)
    late = sessions.open(token)
    late["a"] = 1
    sessions.open(token).destroy()
    with pytest.raises(errors.MissingError):
        late.save()
    with pytest.raises(errors.MissingError):
        sessions.open(token)


def test_a_login_replaces_the_token_and_drops_the_fields_that_are_not_kept(sessions: Tessera) -> None:
    token = stored(sessions, cart=[1], theme="dark")
    session = sessions.open(token)
    cart = session["cart"]
    session["greeted"] = True
    grant = session.authenticate("alice", keep={"theme"})
    assert grant.token not in (None, token)
    assert session.granted is not None and session.granted.token == grant.token
    opened = sessions.open(grant.token or "")
    assert dict(opened.items()) == {"greeted": True, "theme": "dark"}
    assert opened.subject == "alice"
    # The list of a field that was dropped is nobody's.
    cart.append(2)
    assert not session.modified and "cart" not in session
    with pytest.raises(errors.ReplacedError):
        sessions.open(token)
    with pytest.raises(errors.InvalidArgumentError) as raised:
        opened.authenticate("")
    assert raised.value.argument == "subject"
    for keep in ("all", 7, [1]):
        with pytest.raises(errors.InvalidArgumentError, match="keep"):
            opened.authenticate("alice", keep=keep)  # type: ignore[arg-type]


def test_times_are_in_utc_and_expiry_follows_the_clock(sessions: Tessera, clock: Clock) -> None:
    token = stored(sessions)
    details = sessions.open(token).details()
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert sessions.now() == details.created_at == at
    assert details.expires_at - at == sessions.policy["idle_timeout"] == timedelta(minutes=30)
    assert details.ends_at - at == timedelta(hours=24)
    clock.advance(29 * 60_000)
    assert sessions.open(token).touch()
    clock.advance(29 * 60_000)
    assert sessions.open(token).standing() > details.expires_at
    clock.advance(2 * 60_000)
    with pytest.raises(errors.NotLoggedInError):
        sessions.open(token)
    assert clock.milliseconds == NOW + 60 * 60_000


def test_tokens_are_verified_without_the_store(sessions: Tessera, clock: Clock) -> None:
    token = stored(sessions)
    claims = sessions.verify(token)
    assert claims.public_id == sessions.open(token).public_id
    clock.advance(60_000)
    assert sessions.verify(token, max_age=timedelta(minutes=2)).issued_at == claims.issued_at
    with pytest.raises(errors.ExpiredError):
        sessions.verify(token, max_age=1)
    other = Tessera("memory:", keys={"k": b"+" * 32}, clock=clock)
    with pytest.raises(errors.InvalidTokenError) as raised:
        other.verify(token)
    assert raised.value.kind == "token-mac-wrong"
    for text in ("", "ts1.", "x" * 100_000, "\0"):
        with pytest.raises(errors.InvalidTokenError):
            sessions.open(text)


def test_the_sessions_of_a_subject_are_listed_and_revoked(clock: Clock) -> None:
    sessions = Tessera("memory:", keys=KEYS, clock=clock, policy={"public_fields": ["device"]})
    for number in range(150):
        session = sessions.create()
        session["device"] = {"number": number}
        session.authenticate("alice")
    own = sessions.create()
    own.authenticate("alice")
    page = sessions.list("alice", current=own.public_id)
    assert page.next is not None and len(page.items) < 151
    listed = list(sessions.list_all("alice", current=own.public_id))
    assert len(listed) == 151
    assert [item.public_id for item in listed if item.current] == [own.public_id]
    assert sorted(item.fields["device"]["number"] for item in listed if item.fields) == list(range(150))
    assert sessions.revoke("alice", listed[0].public_id)
    assert not sessions.revoke("alice", listed[0].public_id)
    assert sessions.revoke_others(own) in (149, 150)
    assert sessions.revoke_all("alice") == 1
    assert sessions.list("alice").items == ()


def test_keys_are_rotated_while_sessions_are_in_use(sessions: Tessera) -> None:
    token = stored(sessions)
    new = SigningKey.generate("new")
    sessions.replace_keys([new, SigningKey("k", KEYS["k"])])
    assert sessions.signing_key_id == "new"
    sessions.open(token)
    with pytest.raises(errors.InvalidKeyError) as raised:
        sessions.replace_keys([("k", b"short")])
    assert raised.value.key and raised.value.reason
    assert sessions.signing_key_id == "new"
    assert len(sessions.jwt_key("new")) == 32
    assert new.secret.hex() not in repr(new) and "secret" not in repr(new)


def test_csrf_tokens_belong_to_their_session(sessions: Tessera) -> None:
    one, two = (sessions.open(stored(sessions)) for _ in range(2))
    one.check_csrf_token(one.csrf_token())
    for text in (two.csrf_token(), "", "x" * 10_000):
        with pytest.raises(errors.InvalidCsrfTokenError):
            one.check_csrf_token(text)
    with pytest.raises(errors.DraftError):
        sessions.create().csrf_token()


def test_a_closed_session_says_so(sessions: Tessera) -> None:
    session = sessions.open(stored(sessions, a=1))
    session.destroy()
    calls: list[Callable[[], object]] = [
        lambda: session["a"],
        lambda: session.update(a=2),
        session.save,
        session.touch,
        session.fork,
    ]
    for call in calls:
        with pytest.raises(errors.ClosedError):
            call()
    assert session.details().status == "closed"


def test_a_store_that_was_closed_is_an_outage(tmp_path: Any) -> None:
    with Tessera(f"sqlite:{tmp_path / 'sessions.db'}", keys=KEYS) as sessions:
        token = stored(sessions, a=1)
        session = sessions.open(token)
    for call in (lambda: sessions.open(token), session.touch, lambda: sessions.list("alice")):
        try:
            call()
        except errors.OutageError:
            pass
    with pytest.raises(errors.OutageError):
        sessions.open(token)
    # Fields are data.
    assert session["a"] == 1
    sessions.close()


def test_no_error_and_no_text_has_a_token_or_a_value(sessions: Tessera) -> None:
    token = stored(sessions, secret="hush")
    session = sessions.open(token)
    shown = [repr(session), repr(session.details()), repr(session.rotate()), str(sessions.verify(token))]
    shown += [repr(item) for item in sessions.list("alice").items]
    for bad in (token + "x", token[:-1], token.replace("ts1", "ts9")):
        with pytest.raises(errors.InvalidTokenError) as raised:
            sessions.open(bad)
        shown.append(str(raised.value) + repr(raised.value))
    for text in shown:
        assert "hush" not in text and token[8:] not in text


def test_every_kind_of_error_has_one_class_and_none_is_both_an_outage_and_a_logout() -> None:
    kinds = [name for name in errors.__all__ if "kind" in vars(getattr(errors, name))]
    classes = [getattr(errors, name) for name in kinds]
    assert len({one.kind for one in classes if one is not errors.TesseraError}) == len(classes) - 1
    for one in classes:
        assert not (issubclass(one, errors.OutageError) and issubclass(one, errors.NotLoggedInError))
        assert one.__doc__
    assert len(tessera.COMPONENT_SHA256) == 64


def test_a_lone_surrogate_is_an_invalid_token_or_argument_and_no_other_failure(sessions: Tessera) -> None:
    # As `json.loads` makes it from an escape in a client's body.
    lone = json.loads('"\\ud800"')
    session = sessions.create()
    with pytest.raises(errors.InvalidTokenError):
        sessions.open(lone)
    with pytest.raises(errors.InvalidTokenError):
        sessions.verify(lone)
    with pytest.raises(errors.InvalidCsrfTokenError):
        session.save()
        session.check_csrf_token(lone)
    calls: list[Callable[[], object]] = [
        lambda: sessions.list(lone),
        lambda: sessions.list("alice", cursor=lone),
        lambda: sessions.revoke("alice", lone),
        lambda: sessions.revoke_all(lone),
        lambda: session.authenticate(lone),
        lambda: sessions.jwt_key(lone),
        lambda: session[lone],
        lambda: session.get(lone),
        lambda: session.update({lone: 1}),
        lambda: session.setdefault(lone, 1),
    ]
    for call in calls:
        with pytest.raises(errors.InvalidArgumentError, match="has a lone surrogate"):
            call()
    assert lone not in session

    async def awaited() -> None:
        with pytest.raises(errors.InvalidTokenError):
            await sessions.aopen(lone)
        with pytest.raises(errors.InvalidArgumentError):
            await session.aauthenticate(lone)

    asyncio.run(awaited())


def test_a_panic_is_an_internal_error_and_the_engine_goes_on(sessions: Tessera) -> None:
    from tessera import _tessera

    panic = getattr(_tessera, "panic", None)
    if panic is None:
        pytest.skip("the extension module was built without test-panic")
    with pytest.raises(errors.InternalError):
        panic()
    assert sessions.open(stored(sessions, a=1))["a"] == 1

    async def later() -> None:
        # In the runtime's thread.
        with pytest.raises(errors.InternalError):
            await getattr(sessions, "_panic_later")()
        await sessions.aopen(stored(sessions, a=1))

    asyncio.run(later())


def test_integers_of_any_size_in_lists_are_read_as_other_hosts_have_stored_them(sessions: Tessera) -> None:
    session = sessions.create()
    session._update_typed([("f", ("json", "[18446744073709551615,1e20,-9223372036854775809]"))])
    session["own"] = [2**64]
    opened = sessions.open(session.save().token or "")
    assert opened["f"] == [2**64 - 1, 10**20, -(2**63) - 1] and opened["own"] == [2**64]
    assert not opened.modified
    opened["f"].append(1)
    assert opened.modified


def test_a_closed_session_whose_lists_were_read_is_closed(sessions: Tessera) -> None:
    session = sessions.open(stored(sessions, cart=[1]))
    cart = session["cart"]
    session.destroy()
    cart.append(2)
    assert session.details().status == "closed" and not session.modified
    with pytest.raises(errors.ClosedError):
        session.save()


def test_a_file_of_sqlite_stays_the_same_when_the_process_changes_its_directory(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    sessions = Tessera("sqlite:sessions.db", keys=KEYS)
    monkeypatch.chdir(tmp_path / "other")
    token = stored(sessions, a=1)
    assert not list((tmp_path / "other").iterdir())
    sessions.close()
    assert Tessera(f"sqlite:{tmp_path}/sessions.db", keys=KEYS).open(token)["a"] == 1
