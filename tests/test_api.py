"""The API page: pdoc makes it from the public names, each of which says what it does."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import easyremote
import easyremote.testing
from tests.processes import REPOSITORY, TOOL_LIMIT

#: As CONTRIBUTING says: the package alone, without a page for each module inside.
PACKAGES = ("easyremote", "easyremote.testing")
PDOC = ("pdoc", "--docformat", "numpy", *PACKAGES, "!easyremote[.](?!progress|testing)")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page; that pdoc warns of nothing is part of it."""
    folder = tmp_path_factory.mktemp("api")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *PDOC, "-o", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=TOOL_LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    testing = (folder / "easyremote" / "testing.html").read_text()
    assert all(f'<section id="{name}">' in testing for name in easyremote.testing.__all__)
    return (folder / "easyremote.html").read_text()


@pytest.mark.parametrize("name", easyremote.__all__)
def test_the_page_has_every_public_name(page: str, name: str) -> None:
    # `progress` is a module that can be called, so it has a page of its own.
    assert f'<section id="{name}">' in page or f'href="easyremote/{name}.html"' in page


def test_contributing_has_the_command_that_makes_the_page() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    assert f"pdoc --docformat numpy {' '.join(PACKAGES)} '{PDOC[-1]}'" in text


@pytest.mark.parametrize("name", [*easyremote.__all__, *easyremote.testing.__all__])
def test_every_public_name_says_what_it_does(name: str) -> None:
    public = getattr(easyremote, name, None) or getattr(easyremote.testing, name)
    assert _summary(public), f"{name} has no docstring of its own"
    if not inspect.isclass(public):
        return
    silent = [
        f"{name}.{attribute}"
        for attribute, member in vars(public).items()
        if not attribute.startswith("_")
        and (callable(member) or isinstance(member, (property, classmethod, staticmethod)))
        and not _summary(getattr(public, attribute))
    ]
    assert silent == []


def _summary(public: object) -> str:
    """The first line of its own or inherited docstring; a class must have its own."""
    text = public.__doc__ if inspect.isclass(public) else inspect.getdoc(public)
    return re.split(r"\n", (text or "").strip())[0]
