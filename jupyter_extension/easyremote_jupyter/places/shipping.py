"""Sends the variables and files of a cell, and tells the user how large they are.

Variables that the session has are not sent, nor blobs and files that its node has. Large variables
are announced; very large ones need ``--force-push``. Files are sent first.
``tests/jupyter_extension/magics/test_variable_magics.py`` proves it in real kernels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from easyremote.client.files.sending import missing as missing_files
from easyremote.client.files.sending import send
from easyremote.client.refs import size_text
from easyremote.client.session import Session
from easyremote.errors import CannotShip, UsageError
from easyremote.serialize.blobs import Packed
from easyremote.serialize.files import File
from easyremote.serialize.graph.graph import Look, Told
from easyremote_jupyter.magics.options import Options
from easyremote_jupyter.output.watch import Watcher
from easyremote_jupyter.places.held import Held

__all__ = ["load", "sizes"]

#: Bytes above which a transfer is announced, and above which it needs ``--force-push``.
ANNOUNCED_MIN = 1_000_000
FORCED_MIN = 1_000_000_000
EMPTY: Mapping[str, File] = {}


def load(
    session: Session,
    held: Held,
    variables: dict[str, object],
    files: dict[str, File],
    options: Options,
    output: Watcher,
    *,
    beside: Mapping[str, File] = EMPTY,
    trusts_blobs: bool = True,
    again: bool = False,
) -> tuple[dict[str, Any], Told]:
    """Send the files, and make the part of a request with the variables and files.

    The message in it has to be noted in `held` when the session has heard it.

    Parameters
    ----------
    files
        The files by their names in the session's folder.
    beside
        The files beside the notebook, which are sent with them.
    output
        Shows what is sent.
    trusts_blobs
        Whether to leave out the blobs that the node says it has; False after one was gone.
    again
        Whether to send the variables even where the session has them.

    Raises
    ------
    CannotShip
        A variable can't travel.
    UsageError
        They are so large that they need ``--force-push``, or a file can't be sent.
    """
    for name, value in variables.items():
        _check_device(name, value)
    look = session.look(held.graph, variables, held.process)
    if again:
        look.bound |= variables.keys()
    names = look.names()
    try:
        told = session.tell(held.graph, look, names, held.process)
    except CannotShip as error:
        raise in_a_notebook(error) from None
    packed = told.packed
    known = session.known_blobs(packed.blobs) if packed.blobs and trusts_blobs else set()
    away = missing_files(session.files, [*packed.files, *files.values(), *beside.values()])
    if _travelling(packed, known) + sum(each.left for each in away) >= ANNOUNCED_MIN:
        found = sizes(session, held, look, known)
        found |= {each.file.name: ("file", each.left) for each in away}
        line = _announcement(session, found, options)
        if not options.quiet:
            output.notice(line)
    send(session.files, away, output.show)
    request = {
        "packed": packed.wire(known),
        "shared": told.beside,
        "names": sorted(variables),
        "files": [(name, *file.content) for name, file in files.items()],
        "released": session.take_released(held.process),
    }
    return request | ({"process": held.process} if held.process is not None else {}), told


def sizes(
    session: Session, held: Held, look: Look, known: Collection[bytes]
) -> dict[str, tuple[str, int]]:
    """The type of each variable that is sent, and how many bytes it adds; the largest first."""
    counted, found = set(known), {}
    missing = {name: look.values[name] for name in look.names()}
    # A variable that a function uses travels with it, but counts as a variable of its own.
    for name in sorted(missing, key=lambda name: callable(missing[name])):
        packed = session.tell(held.graph, look, [name], held.process).packed
        found[name] = type(missing[name]).__name__, _travelling(packed, counted)
        counted.update(packed.blobs)
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def _travelling(packed: Packed, known: Collection[bytes]) -> int:
    return packed.size - sum(size for hash_, size in packed.blobs.items() if hash_ in known)


def _announcement(session: Session, found: dict[str, tuple[str, int]], options: Options) -> str:
    large = {name: what for name, what in found.items() if what[1] >= ANNOUNCED_MIN / 10}
    text = ", ".join(f"{name} ({kind}, {size_text(size)})" for name, (kind, size) in large.items())
    if sum(size for _, size in found.values()) >= FORCED_MIN and not options.force_push:
        raise UsageError(
            f"That is much to send to {session.node_id}: {text}. Nothing was sent. Make it there, "
            "or add --force-push."
        )
    small = len(found) - len(large)
    more = f" and {small} more" if small and large else ""
    return f"Sending to {session.node_id}: {text or f'{small} variables'}{more}"


def in_a_notebook(error: CannotShip) -> CannotShip:
    """The error for a variable that can't travel, as one short line."""
    if not {"name", "path", "type", "hint"} <= error.details.keys():
        return error
    name, path, kind = error.details["name"], error.details["path"], error.details["type"]
    kind = kind.rpartition(".")[2]
    hint = error.details["hint"]
    what = kind if path == name else f"{path} is {kind}"
    return CannotShip(f"CannotShip: {name!r} ({what}): {hint}", **error.details)


def _check_device(name: str, value: object) -> None:
    """Refuse values in the memory of a GPU: the node has another GPU."""
    if type(value).__module__.partition(".")[0] == "torch" and getattr(value, "is_cuda", False):
        kind = type(value).__name__
        raise CannotShip(
            f"CannotShip: {name!r} ({kind}): it is in this machine's GPU; send {name}.cpu(), or "
            "make it on the node"
        )
