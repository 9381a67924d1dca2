"""The document of the wire is fresh, and says something of every message and field."""

from __future__ import annotations

import runpy
from typing import get_args

import msgspec
import pytest

from easyremote.protocol import detached
from easyremote.protocol.builtins import BUILTINS, Builtin
from easyremote.protocol.call import TERMINAL, TRANSITIONS, CallState
from easyremote.protocol.frames import FrameDecoder
from easyremote.protocol.messages import Function, Gpu, Keep, Message, Payload
from easyremote.protocol.wire_document import (
    EXAMPLES,
    detached_diagram,
    document,
    meanings,
    state_diagram,
)
from tests.protocol.vectors import FOLDER, README, readme

KINDS = get_args(Message)


def test_the_committed_document_is_what_the_code_says() -> None:
    refresh = "run `python -m tests.protocol.vectors`"
    assert (FOLDER / "WIRE.md").read_text() == document() + "\n", refresh


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_command_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("easyremote.protocol.wire_document", run_name="__main__")
    assert capsys.readouterr().out == document() + "\n"


@pytest.mark.parametrize(
    "kind", [*KINDS, Payload, Function, Gpu, Keep], ids=lambda kind: kind.__name__
)
def test_every_message_and_each_of_its_fields_is_described(kind: type[Message]) -> None:
    assert kind.__doc__, "a message says what it is for"
    told = meanings(kind)
    assert list(told) == list(kind.__struct_fields__)
    assert all(meaning.endswith(".") for meaning in told.values())
    section = document().split(f"### {kind.__name__}")[1].split("###")[0]
    assert kind.__doc__.splitlines()[0].replace("``", "`") in section
    for name, meaning in told.items():
        assert f"| `{name}` |" in section
        assert meaning in section


def test_the_diagram_has_every_transition_of_the_table() -> None:
    lines = state_diagram().splitlines()
    for (state, event), after in TRANSITIONS.items():
        (arrow,) = [line for line in lines if f"{state.value} --> {after.value}:" in line]
        assert event.name.lower().replace("_", " ") in arrow.split(": ")[1].split(", ")
    assert {line.split()[0] for line in lines if line.endswith("--> [*]")} == {
        state.value for state in TERMINAL
    }


def test_the_diagram_of_detached_calls_has_every_transition() -> None:
    lines = detached_diagram().splitlines()
    for (state, event), after in detached.TRANSITIONS.items():
        (arrow,) = [line for line in lines if f"{state.value} --> {after.value}:" in line]
        assert event.name.lower().replace("_", " ") in arrow.split(": ")[1].split(", ")


def test_the_readme_draws_the_table_and_says_what_each_state_means() -> None:
    refresh = "run `python -m tests.protocol.vectors`"
    assert README.read_text() == readme(), refresh
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `")]
    named = [line.split("`")[1] for line in rows if not line.split("`")[1].endswith(".py")]
    assert named == [state.value for state in CallState]


def test_the_readme_names_every_module() -> None:
    modules = {path.name for path in README.parent.glob("*.py")} - {"__init__.py"}
    assert modules == {
        line.split("`")[1] for line in README.read_text().splitlines() if "| `" in line
    } - {state.value for state in CallState}


@pytest.mark.parametrize("row", BUILTINS.values(), ids=lambda row: row.name)
def test_every_builtin_has_a_row(row: Builtin) -> None:
    (line,) = [line for line in document().splitlines() if line.startswith(f"| `{row.name}` |")]
    assert row.answered_by.value in line
    assert row.doc.replace("``", "`") in line


def test_a_field_that_nobody_describes_is_noticed() -> None:
    class Undescribed(msgspec.Struct):
        """Not a word of its field."""

        surprise: int = 0

    with pytest.raises(KeyError, match="surprise"):
        meanings(Undescribed)


def test_every_message_has_an_example_and_its_own_tag() -> None:
    assert {type(example) for example in EXAMPLES} == set(KINDS)
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert tags == list(range(1, len(KINDS) + 1))


def test_the_bytes_of_every_example_are_a_record_of_it() -> None:
    messages = document().split("## States of a call")[0]
    lines = [line.strip() for line in messages.splitlines() if line.startswith("    ")]
    decoder = FrameDecoder()
    read = [record for line in lines for record in decoder.receive_data(bytes.fromhex(line))]
    assert [each for each in read if isinstance(each, KINDS)] == sorted(
        EXAMPLES, key=lambda example: example.__struct_config__.tag
    )
