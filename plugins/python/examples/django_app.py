"""A login in Django: ``gunicorn django_app:application``, or ``uvicorn django_app:asgi``.

The variables ``TESSERA_STORE`` and ``TESSERA_KEYS`` (or ``TESSERA_KEY_FILE``) name the store and the keys, as for ``tessera serve``.
"""

from __future__ import annotations

import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "users.db")}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
        MIDDLEWARE=[
            "tessera.django.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="for Django's signatures, which this example does not use",
        SESSION_COOKIE_NAME="session" if os.environ.get("INSECURE") else "__Host-session",
        SESSION_COOKIE_SECURE=not os.environ.get("INSECURE"),
        SESSION_ENGINE="tessera.django.sessions",
        USE_TZ=True,
    )
    django.setup()

from django.contrib.auth import authenticate, login, logout  # noqa: E402


def log_in(request: HttpRequest) -> JsonResponse:
    user = authenticate(request, username=request.POST.get("user"), password=request.POST.get("password"))
    if user is None:
        return JsonResponse({"error": "wrong user or password"}, status=403)
    login(request, user)
    return JsonResponse({"user": user.get_username()})


def home(request: HttpRequest) -> JsonResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    user = request.user.get_username() if request.user.is_authenticated else None
    return JsonResponse({"user": user, "visits": request.session["visits"], "pid": os.getpid()})


def log_out(request: HttpRequest) -> JsonResponse:
    logout(request)
    return JsonResponse({"done": True})


urlpatterns = [path("", home), path("login", log_in), path("logout", log_out)]
application = get_wsgi_application()
asgi = get_asgi_application()
