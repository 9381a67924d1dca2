"""``--dry-run``: where a cell would run and what would travel, as text. Nothing is sent.

Only hashes go to the node, to ask what it has already.
``tests/jupyter_extension/magics/test_dry_run.py`` proves it in real kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from easyremote.client.files.sending import missing as missing_files
from easyremote.client.refs import size_text
from easyremote.errors import CannotShip
from easyremote.serialize.files import File
from easyremote_jupyter.capture.closure import Shipment
from easyremote_jupyter.capture.names import Names
from easyremote_jupyter.magics.options import Options
from easyremote_jupyter.places.places import Place
from easyremote_jupyter.places.shipping import in_a_notebook

__all__ = ["show_plan"]


def show_plan(
    place: Place, needs: Shipment, files: Iterable[File], found: Names, options: Options
) -> None:
    """Print where the cell would run, what would be sent, and what would come back."""
    sys.stdout.write("\n".join(_plan(place, needs, files, found, options)) + "\n")


def _plan(
    place: Place, needs: Shipment, files: Iterable[File], found: Names, options: Options
) -> Iterator[str]:
    session = "a fresh session" if options.fresh else f"session {place.session.name}"
    yield f"Would run on {place.session.node_id}, {session}. Nothing was sent."
    look = place.session.look(place.held.graph, needs.variables, place.held.process)
    missing = look.names()
    rows, total, files = [], 0, list(files)
    for name, value in sorted(needs.variables.items()):
        size, travelling, what = _size(place, name, value, files)
        if name not in missing:
            travelling, what = 0, "is there already"
        total += travelling
        rows.append((name, type(value).__name__, size_text(size) if size else "", what))
    rows += [
        (name, "module", "", f"would be imported there ({module})")
        for name, module in sorted(needs.imports.items())
    ]
    away = {each.file: each.left for each in missing_files(place.session.files, files)}
    for file in dict.fromkeys(files):
        left = away.get(file)
        total += left or 0
        what = "is there already" if left is None else f"{size_text(left)} would be sent"
        rows.append((file.name, "file", size_text(file.content.size), what))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(map(str.ljust, row, widths)).rstrip()
    yield f"To send: {size_text(total)}." if total else "Nothing to send but the cell."
    yield f"Comes back: {_outputs(found, options)}."


def _size(place: Place, name: str, value: object, files: list[File]) -> tuple[int, int, str]:
    """The size of a variable, how much of it would be sent, and that in words.

    Files that the variable holds are added to `files`.
    """
    try:
        packed = place.session.pack({name: value}, place.held.process)
    except CannotShip as error:
        return 0, 0, f"can't be sent: {in_a_notebook(error)}"
    files += packed.files
    known = place.session.known_blobs(packed.blobs) if packed.blobs else set()
    there = sum(size for hash_, size in packed.blobs.items() if hash_ in known)
    left = packed.size - there
    if there:
        return packed.size, left, f"{size_text(left)} would be sent, the rest is there"
    return packed.size, left, "would be sent"


def _outputs(found: Names, options: Options) -> str:
    match options.outputs:
        case dict(renames):
            pairs = [
                f"{there} as {here}" if there != here else here for there, here in renames.items()
            ]
            return ", ".join(pairs)
        case "*":
            return "all that is new"
        case "none":
            return "the value"
    return ", ".join(sorted(found.writes | found.mutates)) or "nothing"
