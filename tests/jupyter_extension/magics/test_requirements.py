"""What a cell says that it needs, and what becomes of it in real kernels."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from easyremote.errors import UsageError
from easyremote_jupyter.magics.requirements import of_script, parse_with
from tests.jupyter_extension.conftest import Kernel, notebook_environment
from tests.processes import Gateway, end

SCRIPT = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "b>=1",
#   "a",
# ]
# ///"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("polars", ["polars"]),
        ("polars>=1,xgboost", ["polars>=1", "xgboost"]),
        ("polars>=1,<2, xgboost", ["polars>=1,<2", "xgboost"]),
        ("a[x,y]>=1,b", ["a[x,y]>=1", "b"]),
        ("a,,a", ["a"]),
        ("a @ https://example.org/a.whl", ["a @ https://example.org/a.whl"]),
    ],
)
def test_commas_part_requirements_but_not_their_versions(text: str, expected: list[str]) -> None:
    assert parse_with(text) == expected


@pytest.mark.parametrize("text", ["-r file", "--index-url=x", "./folder", "a,--target", "a/b"])
def test_options_of_the_installer_and_paths_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no requirement"):
        parse_with(text)


def test_script_metadata_is_read_as_the_pep_says() -> None:
    assert of_script(f"# %%remote\n{SCRIPT}\nimport a") == ["a", "b>=1"]
    assert of_script(SCRIPT) == ["a", "b>=1"]
    assert of_script("import a\n# /// other\n# x\n# ///") == []
    assert of_script("# /// script\n# requires-python = '>=3.11'\n# ///") == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("# /// script\n# dependencies = [\n# ///", "is no TOML"),
        ("# /// script\n# dependencies = 'a'\n# ///", "is a list"),
        ("# /// script\n# dependencies = ['-r x']\n# ///", "no requirement"),
        (f"{SCRIPT}\n\n{SCRIPT}", "two"),
    ],
)
def test_metadata_that_is_wrong_is_told(code: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        of_script(code)


# -- in a real kernel


@pytest.fixture(scope="module")
def strict_kernel(gateway: Gateway) -> Iterator[Kernel]:
    """Beside a node whose owner forbids to install."""
    node = gateway.start_node("strict-node", "--no-install")
    started = Kernel(notebook_environment(gateway))
    yield started
    started.close()
    end(node)


def test_a_cell_with_requirements_has_them_and_says_so_once(kernel: Kernel, registry: None) -> None:
    shown = kernel.run("%%remote --with humanize>=4\nimport humanize\nhumanize.intcomma(1234)")
    assert shown.value == "'1,234'"
    assert "Installing humanize>=4 ... 1 package, " in shown.text("stderr")
    shown = kernel.run("%%remote --with humanize>=4\nhumanize.intcomma(12345)")
    assert (shown.value, shown.text("stderr")) == ("'12,345'", "")


def test_another_session_uses_what_was_installed(kernel: Kernel, registry: None) -> None:
    kernel.run("%%remote --with humanize>=4\nimport humanize")
    shown = kernel.run("%%remote -s warm --with humanize>=4\nimport humanize")
    assert "Installing" not in shown.text("stderr")


def test_script_metadata_does_the_same_as_the_option(kernel: Kernel, registry: None) -> None:
    code = "%%remote -s script\n# /// script\n# dependencies = ['humanize>=4']\n# ///\n"
    assert kernel.run(f"{code}import humanize\nhumanize.intcomma(1000)").value == "'1,000'"


def test_metadata_that_is_wrong_is_one_line(kernel: Kernel) -> None:
    shown = kernel.run("%%remote\n# /// script\n# dependencies = 1\n# ///\n1", fails=True)
    assert shown.text("stderr").count("\n") == 1
    assert "list of strings" in shown.text("stderr")


def test_a_node_that_forbids_it_says_so(node: subprocess.Popen[str], strict_kernel: Kernel) -> None:
    shown = strict_kernel.run("%%remote strict-node --with humanize\nimport humanize", fails=True)
    assert "The owner of this node forbids to install packages (humanize)" in shown.text("stderr")
    assert strict_kernel.run("%%remote strict-node\n1").value == "1"
