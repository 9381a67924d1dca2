"""Text as a terminal shows it: carriage returns write over, escape sequences are not shown.

``tests/test_terminal_text.py`` proves it.
"""

from __future__ import annotations

import re

__all__ = ["compacted", "without_escapes"]

#: A control sequence: https://ecma-international.org/publications-and-standards/standards/ecma-48,
#: section 5.4.
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def without_escapes(text: str) -> str:
    """The text without the control sequences that colour it or move the cursor."""
    return _CONTROL_SEQUENCE.sub("", text)


def compacted(text: str) -> str:
    """Work out carriage returns as a screen does, so that ``\\r 1%\\r 2%`` is just ``\\r 2%``.

    What stands on the first line already isn't known, so its first return stays; so does the place
    of the cursor in the last line. Lines with escape sequences are left alone.
    """
    if "\r" not in text:
        return text
    first, *others = text.replace("\r\n", "\n").split("\n")
    known, returned, rest = first.partition("\r")
    ends_here = not others
    lines = [known + returned + _overwritten(rest, ends_here)]
    lines += [_overwritten(line, line is others[-1]) for line in others]
    return "\n".join(lines)


def _overwritten(line: str, is_last: bool) -> str:
    if "\r" not in line or "\x1b" in line:
        return line
    *_, end = parts = line.split("\r")
    shown = ""
    for part in parts:
        shown = part + shown[len(part) :]
    return f"{shown}\r{end}" if is_last and end != shown else shown
