"""Global generators of random numbers give the numbers of a plain run, in any order of cells."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easyremote_jupyter.places.seeds import Seeds, states
from tests.jupyter_extension.here.conftest import Notebook

New = Callable[[str | None], Notebook]

#: Each is the cells of a notebook; their values are compared.
BOOKS = {
    "numpy": ["np.random.seed(0)", "np.random.rand(3).tolist()", "np.random.randn(2).tolist()"],
    "random": [
        "random.seed(1)",
        "random.random()",
        "random.gauss(0, 1)",
        "random.sample('abc', 2)",
    ],
    "both": ["random.seed(1); np.random.seed(2)", "random.random(), np.random.rand()"] * 2,
    "function": [
        "np.random.seed(3)\ndef draw(): return np.random.randint(1000)",
        *("draw()", "draw() + random.randrange(2) * 0", "draw()"),
    ],
    "by name": ["np.random.seed(4)\nfrom random import random as r\nrandom.seed(4)", "r()", "r()"],
    "local module": [
        "np.random.seed(5); random.seed(5)\nimport dice",
        "dice.roll()",
        "dice.roll()",
        "dice.flip()",
    ],
    "pandas": [
        "np.random.seed(6)\nimport pandas as pd\nd = pd.DataFrame({'a': range(50)})",
        *("d.sample(3).index.tolist()", "d.sample(2).index.tolist()"),
    ],
    "sklearn": [
        "np.random.seed(7)\nfrom sklearn.model_selection import train_test_split as split",
        *("split(list(range(20)))[1]", "split(list(range(20)))[1]", "np.random.rand()"),
    ],
    "shuffle": [
        "random.seed(8)\nx = list(range(9))",
        "random.shuffle(x); x",
        "np.random.permutation(5)[0] * 0",
    ],
    "error": ["np.random.seed(9)", "np.random.rand(); 1 / 0", "np.random.rand()"],
    "state": [
        "random.seed(10)\ns = random.getstate()",
        "random.random()",
        "random.setstate(s)",
        "random.random()",
    ],
}
DICE = """
import random
import numpy as np
def roll(): return int(np.random.randint(1, 7))
def flip(): return random.choice("ab")
"""


def numbers(new_notebook: New, cells: list[str], is_remote: Callable[[int], bool]) -> list[object]:
    book = new_notebook("gpu-node -s seeds")
    book.run("import random\nimport numpy as np")
    return [
        book.run(f"%%R\n{code}" if is_remote(at) else code, fails="1 / 0" in code).value
        for at, code in enumerate(cells)
    ]


@pytest.mark.parametrize("book", BOOKS)
def test_the_numbers_are_those_of_a_plain_run(new_notebook: New, book: str) -> None:
    Path("dice.py").write_text(DICE)
    cells = BOOKS[book]
    plain = numbers(new_notebook, cells, lambda at: False)
    assert numbers(new_notebook, cells, lambda at: at % 2 == 0) == plain
    assert numbers(new_notebook, cells, lambda at: at % 2 == 1) == plain
    assert numbers(new_notebook, cells, lambda at: True) == plain


def test_a_session_that_has_ended_gets_the_states_again(notebook: Notebook) -> None:
    notebook.run("import random\nrandom.seed(3)")
    notebook.run("%%R\nrandom.random()")
    notebook.run(f"%remote_restart {notebook.target}")
    there = notebook.run("%%R\nrandom.random()").value
    random.seed(3)
    assert [random.random(), random.random()][1] == there


def test_a_module_that_is_imported_there_first_goes_on_with_the_state_here(
    notebook: Notebook,
) -> None:
    np.random.seed(11)
    expected = np.random.rand()
    np.random.seed(11)
    there = notebook.run(
        "%%R\nimport sys\nwas = 'numpy' in sys.modules\nimport numpy\nwas, numpy.random.rand()"
    ).value
    assert there == (False, expected)


def test_a_job_in_the_background_does_not_turn_back_the_numbers_here(notebook: Notebook) -> None:
    notebook.run("import random\nrandom.seed(12)")
    notebook.run("%%R --bg job\ndrawn = random.random()")
    notebook.run("here = [random.random(), random.random()]\njob.result()")
    notebook.run("here.append(random.random())")
    random.seed(12)
    expected = [random.random() for _ in range(3)]
    assert notebook["here"] == expected
    assert notebook["drawn"] == expected[0]


def test_nothing_is_sent_that_has_not_changed() -> None:
    seeds = Seeds()
    assert {"random", "numpy"} <= seeds.missing(states(), None).keys()
    seeds.came({}, "process")
    assert seeds.missing(states(), "process") == {}
    random.random()
    assert seeds.missing(states(), "process").keys() == {"random"}
    assert seeds.missing(states(), "process").keys() == {"random"}, "it has not arrived yet"
    assert {"random", "numpy"} <= seeds.missing(states(), "another").keys()
