"""The session of a request in Django: its cookie, its headers, and the answers when the store fails."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import django_project  # noqa: F401
import pytest
from applications import Down
from conftest import KEYS, NOW
from django.conf import settings
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings

from tessera import errors
from tessera.django import SessionMiddleware
from tessera.django.sessions import SessionStore
from tessera.testing import Clock


@pytest.fixture
def store() -> Down:
    """An empty store."""
    return Down()


@pytest.fixture
def client(store: Down) -> Iterator[Client]:
    """A browser of a site over this store."""
    tessera = {"store": store, "keys": KEYS, "remembered_sessions": 0}
    with override_settings(TESSERA=tessera, SESSION_COOKIE_SECURE=True, SESSION_COOKIE_NAME="__Host-s"):
        yield Client(raise_request_exception=False)


def test_the_middleware_sets_the_cookie_of_djangos_settings(client: Client) -> None:
    response = client.get("/?do=set", secure=True)
    cookie = response.cookies["__Host-s"]
    assert response.content == b"1" and response["Cache-Control"] == "no-store" and response["Vary"] == "Cookie"
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/")
    response = client.get("/?do=set", secure=True)
    assert response.content == b"2"
    response = client.get("/", secure=True)
    assert response.content == b"2" and not response.cookies
    assert response["Cache-Control"] == "private, no-cache"
    response = client.get("/?do=nothing", secure=True)
    assert not response.has_header("Vary") and not response.has_header("Cache-Control")
    response = client.get("/?do=flush", secure=True)
    assert response.cookies["__Host-s"].value == ""
    assert client.get("/?do=error", secure=True).cookies.get("__Host-s") is None


def test_a_cookie_that_another_middleware_has_set_or_removed_counts() -> None:
    key = SessionStore()
    key["visits"] = 7
    key.save()
    seen = list[object]()

    def page(request: HttpRequest) -> HttpResponse:
        seen.append(request.session.get("visits"))
        return HttpResponse()

    name, middleware = settings.SESSION_COOKIE_NAME, SessionMiddleware(page)
    replaced = RequestFactory().get("/")
    replaced.COOKIES[name] = key.session_key
    removed = RequestFactory(HTTP_COOKIE=f"{name}={key.session_key}").get("/")
    middleware(removed)
    del removed.COOKIES[name]
    for request in (replaced, removed):
        middleware(request)
    assert seen == [7, 7, None]


def test_an_outage_is_503_and_no_logout(client: Client, store: Down) -> None:
    client.get("/?do=set", secure=True)
    store.is_down = True
    response = client.get("/", secure=True)
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert not response.cookies
    assert client.get("/?do=swallow", secure=True).status_code == 503
    store.is_down = False
    assert client.get("/", secure=True).content == b"1"
    assert client.get("/?do=down", secure=True).status_code == 503


def test_a_read_renews_the_token_and_keeps_the_login() -> None:
    tessera = {"store": "memory:", "keys": KEYS, "policy": {"renew_interval": 0.06, "rotation_grace": 0.05}}
    with override_settings(TESSERA=tessera, SESSION_COOKIE_NAME="s"):
        client = Client()
        client.get("/?do=set")
        before = client.cookies["s"].value
        time.sleep(0.08)
        response = client.get("/")
        assert response.content == b"1" and response.cookies["s"].value not in ("", before)
        assert response["Cache-Control"] == "no-store"
        assert client.get("/").content == b"1"


def test_a_key_that_a_view_has_saved_without_a_change_reaches_the_client() -> None:
    clock = Clock(NOW)
    tessera = {"store": "memory:", "keys": KEYS, "clock": clock, "policy": {"renew_interval": 3600}}
    with override_settings(TESSERA=tessera, SESSION_COOKIE_NAME="s"):
        client = Client()
        first = client.get("/?do=save").cookies["s"].value
        assert SessionStore().exists(first)
        clock.advance(3601 * 1000)
        renewed = client.get("/?do=save").cookies["s"].value
        assert renewed != first and SessionStore().exists(renewed)


def test_a_session_that_ends_during_a_request_is_interrupted(client: Client) -> None:
    client.get("/?do=set", secure=True)
    response = client.get("/?do=interrupted", secure=True)
    assert response.status_code == 400


def test_asynchronous_requests_are_served(client: Client) -> None:
    async def use() -> None:
        browser = AsyncClient()
        assert (await browser.get("/?do=set", secure=True)).content == b"1"
        assert (await browser.get("/?do=set", secure=True)).content == b"2"

    asyncio.run(use())


@pytest.mark.parametrize("stranger", [{}, None, object()])
def test_a_session_of_another_kind_leaves_the_response_as_it_is(stranger: object) -> None:
    def page(request: HttpRequest) -> HttpResponse:
        request.session["lost"] = True
        request.session = stranger
        return HttpResponse("page")

    response = SessionMiddleware(page)(RequestFactory().get("/"))
    assert (response.status_code, response.content, dict(response.cookies)) == (200, b"page", {})
    assert not response.has_header("Cache-Control")


def test_a_session_that_a_view_has_deleted_leaves_the_response_as_it_is() -> None:
    def page(request: HttpRequest) -> HttpResponse:
        request.session["lost"] = True
        del request.session
        return HttpResponse("page")

    response = SessionMiddleware(page)(RequestFactory().get("/"))
    assert (response.status_code, response.content, dict(response.cookies)) == (200, b"page", {})


class Body:
    """A body of a response that notes its end."""

    def __init__(self) -> None:
        self.ends = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"page"])

    def close(self) -> None:
        self.ends += 1


@pytest.mark.parametrize("fails_at", ["load", "save"])
def test_a_response_that_an_error_replaces_is_closed_and_the_request_finishes_once(store: Down, fails_at: str) -> None:
    body, finished = Body(), list[object]()

    def page(request: HttpRequest) -> StreamingHttpResponse:
        store.is_down = True
        with contextlib.suppress(errors.OutageError):
            request.session["a"] = 1
        return StreamingHttpResponse(body)

    def note(**_: object) -> None:
        finished.append(body.ends)

    with override_settings(TESSERA={"store": store, "keys": KEYS, "remembered_sessions": 0}):
        session = SessionStore()
        session.create()
        request = RequestFactory(HTTP_COOKIE=f"{settings.SESSION_COOKIE_NAME}={session.session_key}").get("/")

        def view(request: HttpRequest) -> StreamingHttpResponse:
            if fails_at == "save":
                request.session.get("a")
            return page(request)

        request_finished.connect(note)
        try:
            response = SessionMiddleware(view)(request)
            assert response.status_code == 503 and finished == []
            response.close()
        finally:
            request_finished.disconnect(note)
    assert (body.ends, finished) == (1, [1])
