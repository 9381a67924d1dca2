"""Reads the packages that a cell needs: ``--with``, or ``# /// script`` (PEP 723). Pure.

``easyremote.node.worker.environment`` installs them on the node.
``tests/jupyter_extension/magics/test_requirements.py`` proves it.
"""

from __future__ import annotations

import re
import tomllib

from easyremote.errors import UsageError

__all__ = ["of_script", "parse_with"]

#: The pattern of the PEP.
_BLOCK = re.compile(r"(?m)^# /// script\s*$\s(?P<content>(^#(| .*)$\s)+)^# ///\s*$")
#: A requirement begins with a name, so that it is neither an option of the installer nor a path.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:$|[\[<>=!~;@(\s])")


def parse_with(text: str) -> list[str]:
    """Split ``polars>=1,<2,xgboost[gpu,cpu]``: a comma can be part of a requirement.

    Raises
    ------
    UsageError
        One part is no requirement.
    """
    found: list[str] = []
    for piece in text.split(","):
        is_open = bool(found) and found[-1].count("[") > found[-1].count("]")
        if found and (is_open or re.match(r"\s*[<>=!~]", piece)):
            found[-1] += f",{piece}"
        elif piece.strip():
            found.append(piece)
    return _checked(found)


def of_script(code: str) -> list[str]:
    """The ``dependencies`` in the metadata of a cell; empty where it has no metadata.

    Raises
    ------
    UsageError
        The metadata can't be read.
    """
    blocks = list(_BLOCK.finditer(code if code.endswith("\n") else f"{code}\n"))
    if not blocks:
        return []
    if len(blocks) > 1:
        raise UsageError("The cell has two '# /// script' blocks; one is allowed.")
    lines = blocks[0]["content"].splitlines()
    text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
    try:
        found = tomllib.loads(text).get("dependencies", [])
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The '# /// script' block of the cell is no TOML: {error}.") from None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise UsageError("'dependencies' in the '# /// script' block is a list of strings.")
    return _checked(found)


def _checked(requirements: list[str]) -> list[str]:
    stripped = [each.strip() for each in requirements]
    for each in stripped:
        if not _NAME.match(each):
            raise UsageError(f"{each!r} is no requirement; one is like 'polars>=1'.")
    return sorted(set(stripped))
