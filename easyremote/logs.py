"""Logging: how a process writes its log, and what a line says beside its text.

Every role logs through `logging`, below ``easyremote``. A line names the peer and the call that it
is about (`about`). The command line calls `configure`; a library never does.
``tests/test_logs.py`` proves it.
"""

from __future__ import annotations

import logging
import time
from typing import TextIO

import msgspec

#: What ``--log-level`` takes.
LEVELS = ("debug", "info", "warning", "error")


def configure(level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Write this process's log.

    Parameters
    ----------
    level
        The least important of our lines that is written. Other libraries start at ``warning``.
    as_json
        Whether each line is one JSON object.
    stream
        Where to; None for standard error.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLine() if as_json else _Line())
    least = level.upper()
    others = max(logging.WARNING, logging.getLevelNamesMapping()[least])
    logging.basicConfig(level=others, handlers=[handler], force=True)
    logging.getLogger("easyremote").setLevel(least)


def about(*, peer: str = "", call: bytes = b"") -> dict[str, str]:
    """What a line is about, for the ``extra`` of a logging call.

    Parameters
    ----------
    peer
        Who is at the other end: a node, a client or an address.
    call
        The ``call_id``.
    """
    return {"peer": peer, "call": call.hex()}


def _named(record: logging.LogRecord) -> dict[str, str]:
    values = {name: getattr(record, name, "") for name in ("peer", "call")}
    return {name: str(value) for name, value in values.items() if value}


#: A peer's words must not look like a line of their own.
_ON_ONE_LINE = {number: f"\\x{number:02x}" for number in range(32)}


class _Line(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        names = "".join(f" {name}={value}" for name, value in _named(record).items())
        return (super().formatMessage(record) + names).translate(_ON_ONE_LINE)


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_named(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # A file's name or a peer's words can hold what is no UTF-8.
        clean = {name: text.encode(errors="replace").decode() for name, text in line.items()}
        return msgspec.json.encode(clean).decode()


def _moment(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z"
