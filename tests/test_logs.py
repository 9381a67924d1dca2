"""The log's lines, for people and as JSON: what they name, and what they leave out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from easyremote.logs import about, configure

LOG = logging.getLogger("easyremote.gateway")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("easyremote")
    before = root.handlers[:], root.level, ours.level
    root.handlers.clear()  # `configure` closes those that are there
    yield io.StringIO()
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


def test_a_line_names_its_peer_and_its_call(lines: io.StringIO) -> None:
    configure(stream=lines)
    LOG.warning("It is %s", "late", extra=about(peer="gpu-node", call=b"\x01\xff"))
    LOG.info("Nothing more\nis known")
    first, second = lines.getvalue().splitlines()
    assert first.endswith("WARNING easyremote.gateway: It is late peer=gpu-node call=01ff")
    assert second.endswith("INFO easyremote.gateway: Nothing more\\x0ais known")


def test_a_line_can_be_an_object(lines: io.StringIO) -> None:
    configure(as_json=True, stream=lines)
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        LOG.exception("It failed: \udc80", extra=about(call=b"\x02"))
    (line,) = lines.getvalue().splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["call"]) == ("error", "easyremote.gateway", "02")
    assert said["message"] == "It failed: ?"
    assert said["exception"].endswith("ValueError: one\ntwo")
    assert said["time"].endswith("Z")
    assert "peer" not in said


@pytest.mark.parametrize(("level", "ours"), [("debug", 4), ("warning", 2), ("error", 1)])
def test_the_level_is_that_of_our_own_lines(lines: io.StringIO, level: str, ours: int) -> None:
    configure(level, stream=lines)
    for logger in (LOG, logging.getLogger("another.library")):
        for least in ("debug", "info", "warning", "error"):
            getattr(logger, least)("said")
    said = lines.getvalue().splitlines()
    assert sum("easyremote.gateway" in line for line in said) == ours
    assert sum("another.library" in line for line in said) == min(ours, 2)
