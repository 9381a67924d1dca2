"""The states of the global generators of random numbers: taken here, set there."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from easyremote.generators import Generators
from tests.processes import REPOSITORY, TOOL_LIMIT


def test_a_state_that_is_set_gives_the_same_numbers() -> None:
    generators = Generators()
    random.seed(1)
    np.random.seed(2)
    states = generators.states()
    numbers = random.gauss(0, 1), random.random(), np.random.normal(), np.random.rand()
    generators.set(states)
    assert (random.gauss(0, 1), random.random(), np.random.normal(), np.random.rand()) == numbers


def test_a_state_changes_with_the_use_of_its_generator_only() -> None:
    generators = Generators()
    before = generators.states()
    assert generators.states() == before
    random.random()
    after = generators.states()
    assert [name for name in before if after[name] != before[name]] == ["random"]
    np.random.rand()
    assert generators.states()["numpy"] != before["numpy"]
    assert max(map(len, before.values())) < 4000


def test_another_kind_of_generator_of_numpys_is_told_of() -> None:
    generators = Generators()
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(3))
    try:
        states = generators.states()
        numbers = np.random.rand()
        generators.set(states)
        assert np.random.rand() == numbers
    finally:
        np.random.set_bit_generator(before)


PROGRAM = """
import sys
from easyremote.generators import Generators
states = {STATES}
generators = Generators()
generators.set(states)
assert "numpy" not in sys.modules
assert generators.states()["numpy"] == states["numpy"], "it waits, and is known"
import numpy as np
print(np.random.rand())
import numpy.random as again
print(np.random.rand())
"""


def test_a_state_waits_for_the_import_of_its_module() -> None:
    np.random.seed(5)
    states = {name: s for name, s in Generators().states().items() if name == "numpy"}
    expected = [str(np.random.rand()), str(np.random.rand())]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(STATES=states)],
        capture_output=True,
        cwd=REPOSITORY,
        text=True,
        timeout=TOOL_LIMIT,
    )
    assert done.stdout.split() == expected, done.stderr


#: As much of PyTorch as is asked for.
FAKE_TORCH = """
import numpy
uint8 = "uint8"
state = numpy.zeros(16, "uint8")
class Tensor:
    def __init__(self, data): self.data = data
    def numpy(self): return self.data
def get_rng_state(): return Tensor(state)
def set_rng_state(tensor): global state; state = tensor.data
def frombuffer(data, dtype): return Tensor(numpy.frombuffer(data, dtype))
"""


def test_torchs_generator_is_among_them_where_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(FAKE_TORCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    generators = Generators()
    assert "torch" not in generators.states()
    torch = __import__("torch")
    torch.state = np.arange(16, dtype="uint8")
    states = generators.states()
    torch.state = np.zeros(16, "uint8")
    generators.set(states)
    assert torch.state.tolist() == list(range(16))
    monkeypatch.delitem(sys.modules, "torch")
    generators.set(states)
    assert __import__("torch").state.tolist() == list(range(16))
    monkeypatch.delitem(sys.modules, "torch")
