"""The applications of ``examples/``, on the servers that run them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import EXAMPLES, KEYS, PACKAGE, Program, free_port, python

from tessera import Tessera, errors


@pytest.fixture
def keys_variable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The keys of the tests in the environment."""
    monkeypatch.setenv("TESSERA_KEYS", '{"keys": [{"id": "k", "secret": "LS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0"}]}')
    yield


def client_of(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)


def check_login(client: httpx.Client) -> str:
    """A visit, a wrong password, a login that keeps the visits, and its cookie."""
    assert client.get("/").json()["visits"] == 1
    before = next(iter(client.cookies.jar)).value
    wrong = client.post("/login", data={"user": "alice", "password": "wrong"})
    assert wrong.status_code == 403
    right = client.post("/login", data={"user": "alice", "password": "correct horse"})
    assert right.status_code == 200, right.text
    home = client.get("/").json()
    assert (home["user"], home["visits"]) == ("alice", 2)
    after = next(iter(client.cookies.jar)).value
    assert after not in (None, before)
    stolen = httpx.get(client.base_url, headers={"Cookie": f"{next(iter(client.cookies.jar)).name}={before}"})
    assert stolen.json()["user"] is None
    return after or ""


def environment(url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "TESSERA_STORE": url,
        "TESSERA_KEYS": os.environ["TESSERA_KEYS"],
        "INSECURE": "1",
        "DATABASE": str(tmp_path / "users.db"),
    }


def test_the_example_in_fastapi_runs_on_uvicorn(redis_url: str, keys_variable: None, tmp_path: Path) -> None:
    port = free_port()
    arguments = python("-m", "uvicorn", "fastapi_app:app", "--port", str(port), "--workers", "2")
    program = Program(arguments, environment(redis_url, tmp_path), port)
    try:
        with client_of(port) as client:
            token = check_login(client)
            assert [device["current"] for device in client.get("/devices").json()] == [True]
            client.post("/logout")
            assert client.get("/devices").status_code == 401
            with pytest.raises(errors.NotLoggedInError):
                Tessera(redis_url, keys=KEYS).open(token)
    finally:
        program.stop()


@pytest.mark.parametrize("preload", [True, False])
def test_the_example_in_flask_runs_on_gunicorn_with_several_workers(
    redis_url: str, keys_variable: None, tmp_path: Path, preload: bool
) -> None:
    port = free_port()
    arguments = python("-m", "gunicorn", "flask_app:app", "--bind", f"127.0.0.1:{port}", "--workers", "3")
    program = Program(arguments + ["--preload"] * preload, environment(redis_url, tmp_path), port)
    try:
        with client_of(port) as client:
            check_login(client)
            assert len(client.get("/devices").json()) == 1
            workers = {httpx.get(f"{client.base_url}").json()["pid"] for _ in range(60)}
            assert len(workers) > 1, program.log()
            client.post("/logout")
            assert client.get("/devices").status_code == 401
    finally:
        program.stop()


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_the_example_in_django_runs_on_gunicorn_and_on_uvicorn(
    redis_url: str, keys_variable: None, tmp_path: Path, server: str
) -> None:
    port, variables = free_port(), environment(redis_url, tmp_path)
    create = (
        "import django_app; from django.core.management import call_command; call_command('migrate', verbosity=0);"
        "from django.contrib.auth.models import User; User.objects.create_user('alice', password='correct horse')"
    )
    paths = {"PYTHONPATH": f"{PACKAGE}:{EXAMPLES}"}
    subprocess.run(python("-c", create), check=True, env={**os.environ, **variables, **paths}, cwd=EXAMPLES, timeout=60)
    arguments = (
        python("-m", "gunicorn", "django_app:application", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--preload")
        if server == "gunicorn"
        else python("-m", "uvicorn", "django_app:asgi", "--port", str(port), "--lifespan", "off")
    )
    program = Program(arguments, variables, port)
    try:
        with client_of(port) as client:
            token = check_login(client)
            opened = Tessera(redis_url, keys=KEYS).open(token)
            assert opened.subject == opened["_auth_user_id"] == "1"
            client.post("/logout")
            home = client.get("/").json()
            assert (home["user"], home["visits"]) == (None, 1)
            with pytest.raises(errors.NotLoggedInError):
                Tessera(redis_url, keys=KEYS).open(token)
    finally:
        program.stop()
