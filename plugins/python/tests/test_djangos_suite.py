"""The tests that Django has for its own session engines and middleware, run over those of this package.

They are in Django's source distribution, which pip downloads once.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
import unittest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import django_project  # noqa: F401
import pytest
from conftest import PACKAGE, python
from django.conf import settings
from django.test import SimpleTestCase, override_settings

from tessera.django import SessionMiddleware, engine
from tessera.django.sessions import SessionStore

#: The SHA-256 of the source distribution of the version in ``requirements.txt``, from PyPI.
SHA256 = "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1"
TARGET = PACKAGE.parent.parent / "target"
#: The package that has the tests, in the folder ``tests`` of the distribution.
SUITE = "sessions_tests"

#: The tests that do not hold, with the reason.
BY_DESIGN = {
    "test_cycle": "the key changes when the session is saved, so that a login is one write",
    "test_cycle_async": "as test_cycle",
}


def unpack(place: Path) -> None:
    """Downloads the source distribution, and leaves the tests of sessions there."""
    wanted = f"django=={django.get_version()}"
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET) as beside:
        requirements, unpacked = Path(beside, "requirements.txt"), Path(beside, "tests")
        requirements.write_text(f"{wanted} --hash=sha256:{SHA256}\n")
        options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        download = ["-m", "pip", "download", "--quiet", *options, "--dest", beside, "-r", str(requirements)]
        pip = subprocess.run(python(*download), capture_output=True, text=True, timeout=300)
        assert pip.returncode == 0, f"{wanted} could not be downloaded: {pip.stderr}"
        (archive,) = Path(beside).glob("*.tar.gz")
        (unpacked / SUITE).mkdir(parents=True)
        with tarfile.open(archive) as files:
            for file in files:
                folder, name = os.path.split(file.name)
                content = files.extractfile(file)
                if folder.endswith(f"/tests/{SUITE}") and content is not None:
                    (unpacked / SUITE / name).write_bytes(content.read())
        # Another process may have done the same.
        if not place.exists():
            unpacked.rename(place)


@pytest.fixture(scope="module")
def suite() -> Iterator[Any]:
    """The module of Django's tests, over the engine and the middleware of this package."""
    place = TARGET / f"django-{django.get_version()}-tests"
    if not place.exists():
        unpack(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, SUITE]):
            tests = import_module(f"{SUITE}.tests")
            # The tests of the middleware use Django's default engine.
            patch.setattr(tests, "DatabaseSession", SessionStore)
            patch.setattr(tests, "SessionMiddleware", SessionMiddleware)
            patch.setattr(tests, "Session", Records)
            yield tests


class Records:
    """The records of sessions, as Django's model of its database has them."""

    class objects:  # noqa: N801
        @staticmethod
        def get(session_key: str) -> Records:
            return Records(session_key)

    def __init__(self, session_key: str) -> None:
        self.session_key = session_key

    def get_decoded(self) -> dict[str, Any]:
        return dict(engine().open(self.session_key).items())


def failures(case: type[unittest.TestCase]) -> tuple[int, dict[str, str]]:
    """The number of tests, and the names of those that fail, with their tracebacks."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.skipped == [] and not result.unexpectedSuccesses
    failed = {test.id().rpartition(".")[2]: seen for test, seen in result.failures + result.errors}
    return result.testsRun, failed


@pytest.mark.parametrize("use_tz", [True, False])
def test_djangos_tests_of_session_engines_hold(suite: Any, use_tz: bool) -> None:
    case = type("EngineTests", (suite.SessionTestsMixin, SimpleTestCase), {"backend": SessionStore})
    with override_settings(USE_TZ=use_tz):
        number, failed = failures(case)
    unforeseen = [seen for name, seen in failed.items() if name not in BY_DESIGN]
    assert unforeseen == [], "\n".join(unforeseen)
    assert set(BY_DESIGN) - set(failed) == set(), "a test that is listed holds"
    assert number > 60


def test_djangos_tests_of_the_session_middleware_hold(suite: Any) -> None:
    # Without their base class, which needs a database.
    tests = {name: value for name, value in vars(suite.SessionMiddlewareTests).items() if not name.startswith("__")}
    number, failed = failures(type("MiddlewareTests", (SimpleTestCase,), tests))
    assert failed == {}, "\n".join(failed.values())
    assert number > 10
