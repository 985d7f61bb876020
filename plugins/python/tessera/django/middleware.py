"""Middleware for Django."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoMiddleware
from django.http import HttpResponse

from .._web import log, problem, tokens_of
from ..errors import SessionError

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class SessionMiddleware(DjangoMiddleware):
    """Django's session middleware, which also renews and touches sessions, and answers session errors with their status.

    A store that is out of reach gives 503, and never a session that is not logged in.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Gives the request a session, which is opened on first use."""
        tokens = tokens_of([request.META.get("HTTP_COOKIE", "")], settings.SESSION_COOKIE_NAME)
        # More tokens than are tried count as none.
        first = tokens[0] if tokens else None
        request.session = self.SessionStore(first, tokens)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answers a session error that a view does not handle."""
        return _answer(exception) if isinstance(exception, SessionError) else None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Saves the session, and sets the cookie."""
        session = request.session
        try:
            if session.accessed and not session.modified and session._is_renewal_due:
                session.modified = True
            if session.accessed and "Cache-Control" not in response.headers:
                # A browser revalidates before it shows a page of a session that may have ended.
                response.headers["Cache-Control"] = "private, no-cache"
            response = super().process_response(request, response)
        except SessionError as error:
            # The response would report changes that are not stored.
            return _answer(error)
        if settings.SESSION_COOKIE_NAME in response.cookies:
            response.headers["Cache-Control"] = "no-store"
        if session.accessed:
            try:
                session._touch()
            except SessionError as error:
                log.warning("a session was not touched: %s", error.kind)
        return response


def _answer(error: SessionError) -> HttpResponse:
    status, headers, body = problem(error)
    response = HttpResponse(body, status=status)
    for name, value in headers:
        response.headers[name] = value
    return response
