"""The package and its stubs, checked strictly."""

from __future__ import annotations

import subprocess
from pathlib import Path

from conftest import PACKAGE, python

EXAMPLES_OF_TYPES = str(Path(__file__).with_name("typing_examples.py"))


def check(*arguments: str) -> None:
    checked = subprocess.run(python(*arguments), cwd=PACKAGE, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_mypy_finds_nothing_when_it_is_strict() -> None:
    check("-m", "mypy", "--strict", "--warn-unused-ignores", "--cache-dir", "/dev/null", "tessera", EXAMPLES_OF_TYPES)


def test_pyright_finds_nothing_when_it_is_strict() -> None:
    check("-m", "pyright")


def test_every_public_name_has_documentation() -> None:
    import inspect

    import tessera
    from tessera import asgi, cookies, errors, stores, wsgi

    for module in (tessera, asgi, cookies, errors, stores, wsgi):
        assert module.__doc__
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                assert thing.__doc__ and len(thing.__doc__) > 10, name


def test_the_stubs_name_what_the_extension_module_has() -> None:
    import ast

    from tessera import _tessera

    stubs = ast.parse((PACKAGE / "tessera/_tessera.pyi").read_text())
    for item in stubs.body:
        if isinstance(item, ast.ClassDef):
            found = getattr(_tessera, item.name)
            named = {part.name for part in item.body if isinstance(part, ast.FunctionDef)}
            # `_panic_later` is of the tests alone.
            public = {name for name in vars(found) if not name.startswith("__")} - {"_panic_later"}
            assert public == {name for name in named if not name.startswith("__")}, item.name
