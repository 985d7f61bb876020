"""Middleware for Django."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoMiddleware
from django.http import HttpResponse
from django.utils.cache import patch_vary_headers

from .._opening import is_ours, tokens_of
from .._problem import problem
from ..errors import SessionError

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class SessionMiddleware(DjangoMiddleware):
    """Django's session middleware, which also renews and touches sessions, and answers session errors with their status.

    A store that is out of reach gives 503, and never a session that is not logged in, also if a template or another middleware
    has swallowed the error.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Gives the request a session, which is opened on first use."""
        tokens = _tokens(request)
        # More tokens than are tried count as none.
        first = tokens[0] if tokens else None
        request.session = self.SessionStore(first, tokens)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answers a session error that a view does not handle."""
        return _answer(exception) if isinstance(exception, SessionError) else None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Saves the session, and sets the cookie."""
        session = getattr(request, "session", None)
        if not isinstance(session, self.SessionStore):
            # A view has deleted it, or put another object in its place.
            return super().process_response(request, response)
        if session._error is not None:
            return _answer(session._error, response)
        try:
            if session.accessed and "Cache-Control" not in response.headers:
                # A browser revalidates before it shows a page of a session that may have ended.
                response.headers["Cache-Control"] = "private, no-cache"
            response = super().process_response(request, response)
        except SessionError as error:
            # The response would report changes that are not stored.
            return _answer(error, response)
        if session.accessed and response.status_code < 500 and session._upkeep():
            _set_cookie(response, session)
        if settings.SESSION_COOKIE_NAME in response.cookies:
            response.headers["Cache-Control"] = "no-store"
        return response


def _tokens(request: HttpRequest) -> list[str] | None:
    """The tokens in the cookies of a request; ``None`` if there are more than are tried."""
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if cookie is None:
        # No cookie came, or another middleware has removed it.
        return []
    # ``COOKIES`` has only the last of several cookies.
    tokens = tokens_of([request.META.get("HTTP_COOKIE", "")], settings.SESSION_COOKIE_NAME)
    if tokens is None or cookie in tokens or not is_ours(cookie):
        return tokens
    # Another middleware has replaced it.
    return [cookie]


def _set_cookie(response: HttpResponseBase, session: Any) -> None:
    """Sets the cookie as Django does after a save."""
    is_short = session.get_expire_at_browser_close()
    response.set_cookie(
        settings.SESSION_COOKIE_NAME,
        session.session_key,
        max_age=None if is_short else session.get_expiry_age(),
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE or None,
        httponly=settings.SESSION_COOKIE_HTTPONLY or None,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
    patch_vary_headers(response, ("Cookie",))


def _answer(error: SessionError, replaced: HttpResponseBase | None = None) -> HttpResponse:
    status, headers, body = problem(error)
    response = HttpResponse(body, status=status)
    if replaced is not None:
        # The files and streams of the replaced response are closed with this one. Its own `close` would send `request_finished`
        # before the request has finished, and a second time.
        response._resource_closers.extend(replaced._resource_closers)
    for name, value in headers:
        response.headers[name] = value
    return response
