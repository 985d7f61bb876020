"""A project of Django for the tests: its settings, which a process has once, and a page."""

from __future__ import annotations

import django
from conftest import KEYS
from django.conf import settings

from tessera import errors

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        MIDDLEWARE=["tessera.django.SessionMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="x",
        SESSION_ENGINE="tessera.django.sessions",
        TESSERA={"store": "memory:", "keys": KEYS},
        USE_TZ=True,
    )
    django.setup()

from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from tessera.django import engine  # noqa: E402


def view(request: HttpRequest) -> HttpResponse:
    """Does with the session as its parameter says."""
    does = request.GET.get("do")
    if does == "swallow":
        try:
            return HttpResponse(str(request.session.get("visits")))
        except errors.OutageError:
            return HttpResponse("anonymous")
    if does == "set":
        request.session["visits"] = request.session.get("visits", 0) + 1
    elif does == "save":
        request.session.save()
    elif does == "flush":
        request.session.flush()
    elif does == "error":
        request.session["lost"] = True
        return HttpResponse(status=500)
    elif does == "interrupted":
        request.session["a"] = 1
        engine().open(request.session.session_key or "").destroy()
    elif does == "down":
        request.session["a"] = 1
        settings.TESSERA["store"].is_down = True
    elif does == "nothing":
        return HttpResponse("nothing")
    return HttpResponse(str(request.session.get("visits")))


urlpatterns = [path("", view)]
