"""Cells as typed: where they are to run."""

from __future__ import annotations

import pytest

from easyremote.errors import UsageError
from easyremote_jupyter.magics.cells import CellTransformer, is_empty, refuse_nested


def transformed(source: str, *, is_auto: bool = True) -> str:
    return "".join(CellTransformer(lambda: is_auto)(source.splitlines(keepends=True)))


def test_plain_cells_go_to_the_attached_node() -> None:
    assert transformed("x = 1\nx\n") == "%%remote_attached\nx = 1\nx\n"
    assert transformed("!ls\n") == "%%remote_attached\n!ls\n"


@pytest.mark.parametrize(
    "source",
    [
        "%%time\nx\n",
        "%%remote other\nx\n",
        "%remote_detach\n",
        "x = 1\n%remote_nodes\n",
        "%load_ext easyremote\n",
        "# only words\n",
        "\n",
        "",
    ],
)
def test_cells_with_a_magic_of_their_own_companions_and_empty_ones_stay(source: str) -> None:
    assert transformed(source) == source


def test_without_auto_plain_cells_stay() -> None:
    assert transformed("x\n", is_auto=False) == "x\n"


@pytest.mark.parametrize("is_auto", [True, False])
def test_local_cells_stay_and_keep_their_lines(is_auto: bool) -> None:
    assert transformed("%%local\nx = 1\n", is_auto=is_auto) == "# %%local\nx = 1\n"
    assert transformed("%%local\n%%time\nx\n", is_auto=is_auto) == "%%time\nx\n"
    assert transformed("%%local", is_auto=is_auto) == "# %%local\n"


def test_a_remote_cell_without_a_body_gets_an_empty_one() -> None:
    assert transformed("%%remote gpu\n") == "%%remote gpu\n\n"
    assert transformed("%%remote") == "%%remote\n\n"
    assert transformed("%%remote?") == "%%remote?"


def test_blank_lines_and_comments_are_an_empty_cell() -> None:
    assert is_empty("") and is_empty("\n  # a\n\n")
    assert not is_empty("pass") and not is_empty("'# no'")


@pytest.mark.parametrize("source", ["x\n%%remote gpu\n", "\n%%remote\nx", "a = 1\n%%remote"])
def test_a_remote_cell_in_a_cell_is_refused_with_its_line(source: str) -> None:
    with pytest.raises(UsageError, match="Line 3: a cell that runs on a node"):
        refuse_nested(source, first_line=2)


@pytest.mark.parametrize(
    "source", ["x = '%%remote'\n%%remote_other\n", 'x = """\n%%remote gpu\n"""', "x = 1"]
)
def test_a_remote_cell_in_a_string_is_none(source: str) -> None:
    refuse_nested(source, first_line=2)
