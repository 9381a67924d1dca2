"""The magics: ``%%remote``, ``%remote`` and ``%remote_nodes``.

They read a line of options, find the node, decide with `capture`, `closure` and `held` what to send
along, let `display` show what comes, and bind what comes back. What a session and a call are is
the client's business. ``tests/jupyter_extension/test_magics.py`` proves it in real kernels.
"""

from __future__ import annotations

import builtins
import os
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.utils.text import DollarFormatter

import easyremote
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from easyremote.errors import CannotShip, EasyRemoteError, RemoteError
from easyremote.serialize.functions import home

from .capture import Names, names
from .closure import closure
from .display import Event, Output, one_line_errors, show_notice, show_result, watch
from .held import Held
from .nodes import NodeTable
from .options import HELP, NODE_VARIABLE, Options, find_node, parse, split

_UNDEFINED = re.compile(r"name '(\w+)' is not defined")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where cells run, and what is there."""

    session: Session
    held: Held

    def run(
        self,
        request: dict[str, Any],
        variables: dict[str, object],
        optional: Collection[str],
        options: Options,
        output: Output,
        space: dict[str, object],
    ) -> dict[str, Any]:
        """Run a cell with the variables that it needs, of which it may do without the optional."""
        while True:
            job = self._submit(request, variables, optional, options.timeout)
            watch(job, output.show)
            token = home.set(space)
            try:
                answer: dict[str, Any] = job.result()
            finally:
                home.reset(token)
            if "names" in answer:
                return answer
            self.held.forget()
            show_notice(f"The session on {self.session.node_id} is new: its variables are gone.")

    def _submit(
        self,
        request: dict[str, Any],
        variables: dict[str, object],
        optional: Collection[str],
        timeout: float | None,
    ) -> RemoteJob[dict[str, Any]]:
        request = request | {"variables": self.held.missing(variables)}
        if self.held.process is not None:
            request["process"] = self.held.process
        try:
            return self.session.submit_cell(request, timeout=timeout)
        except CannotShip:
            needed = {name: v for name, v in variables.items() if name not in optional}
            if len(needed) == len(variables):
                raise
            return self._submit(request, needed, (), timeout)


@magics_class
class RemoteMagics(Magics):
    """See the module."""

    shell: Any

    def __init__(self, shell: Any) -> None:
        untyped: Any = super()
        untyped.__init__(shell)
        self._places: dict[tuple[str, str], _Place] = {}

    @line_cell_magic
    @no_var_expand
    @output_can_be_silenced
    def remote(self, line: str, cell: str | None = None) -> object:
        # The docstring is below: it holds the options.
        with one_line_errors():
            head, code = self._split(line) if cell is None else (line, cell)
            options = parse(self._expanded(head))
            place = self._place(options)
        if cell is None:
            options.outputs = "none"
            return self._run(place, options, code)[0].get("value")
        if not cell.lstrip().startswith("%%"):
            # The magic's line, so that the lines of tracebacks are those of the notebook.
            code = f"# %%remote {line}\n{cell}"
        answer, value = self._run(place, options, code)
        if value is not None:
            show_result(self.shell, value, answer)
        return None

    remote.__doc__ = f"""Run a cell, or an expression, on a node as if it ran here.

The variables that it reads are sent along; those that it assigns come back.

{HELP}"""

    @line_magic
    def remote_nodes(self, line: str) -> NodeTable:
        """Show the nodes that the gateway knows."""
        with one_line_errors():
            return NodeTable(easyremote.connect().list_nodes())

    # -- where

    def _split(self, line: str) -> tuple[str, str]:
        return split(line, {node.node_id for node in easyremote.connect().list_nodes()})

    def _expanded(self, head: str) -> str:
        """Put the values of ``$name`` and ``{expression}`` into the options, as IPython does."""
        try:
            return str(DollarFormatter().vformat(head, [], dict(self.shell.user_ns)))
        except Exception:  # an expression is the user's code; IPython leaves the line alone, too
            return head

    def _place(self, options: Options) -> _Place:
        node_id = options.node or os.environ.get(NODE_VARIABLE, "")
        if (node_id, options.session) not in self._places:
            client = easyremote.connect()
            node_id = find_node(node_id, client.list_nodes())
            # Without a name it may be one that is known by its name.
            if (node_id, options.session) not in self._places:
                session = Session(client, node_id, options.session or None)
                self._places[node_id, options.session] = _Place(session, Held())
        return self._places[node_id, options.session]

    # -- what travels

    def _run(
        self, place: _Place, options: Options, code: str
    ) -> tuple[dict[str, Any], Event | None]:
        """Run `code`; the node's answer, and the event that shows its value."""
        space, node_id = self.shell.user_ns, place.session.node_id
        found = self._names(code)
        for name in options.inputs:
            if name not in space:
                raise UsageError(f"-i {name}: there is no variable of that name here")
        needs = closure(found.reads | set(options.inputs), space, hidden=self.shell.user_ns_hidden)
        renames = options.outputs if isinstance(options.outputs, dict) else {}
        request = {
            "code": code,
            "count": self.shell.displayhook.prompt_count,  # of the cell that runs
            "imports": needs.imports,
            "outputs": list(renames) if renames else options.outputs,
            "writes": sorted(found.writes | found.mutates),
        }
        output = Output(self.shell, progress=options.progress, quiet=options.quiet)
        touched = {*needs.variables, *request["writes"]}
        with one_line_errors(node_id, lambda error: _hint(error, space)):
            try:
                answer = place.run(request, needs.variables, found.optional, options, output, space)
            except RemoteError:
                place.held.note(touched, space)  # what it assigned before it failed is there
                raise
            except (EasyRemoteError, KeyboardInterrupt):
                place.held.forget()
                raise
            finally:
                output.finish()
        self._bind(answer, renames)
        place.held.process = answer["process"]
        place.held.note({*touched, *answer["names"], *answer["kept"]}, space)
        if answer["kept"] and not options.quiet:
            show_notice(_kept(answer["kept"], node_id))
        return answer, output.result

    def _names(self, code: str) -> Names:
        hidden, space = self.shell.user_ns_hidden, self.shell.user_ns
        shadowed = {name for name in vars(builtins) if name in space and name not in hidden}
        try:
            return names(code, shadowed=shadowed)
        except SyntaxError:
            return Names()  # the node says so, with the cell's lines

    # -- what comes back

    def _bind(self, answer: dict[str, Any], renames: dict[str, str]) -> None:
        space = self.shell.user_ns
        for name, value in answer["names"].items():
            space[renames.get(name, name)] = value
        for name, module in answer["imports"].items():
            if module in sys.modules:  # importing it here could take long, and wasn't asked for
                space[renames.get(name, name)] = sys.modules[module]


def _kept(kept: dict[str, dict[str, Any]], node_id: str) -> str:
    """What stayed on the node, and how to have it."""
    large = {name: what for name, what in kept.items() if what["size"]}
    items = [
        f"{name} ({what['type']}, {what['size'] / 1e6:,.0f} MB)" for name, what in large.items()
    ]
    items += [f"{name} ({what['type']})" for name, what in kept.items() if not what["size"]]
    how = f"; -o {','.join(large)} brings {'it' if len(large) == 1 else 'them'}" if large else ""
    return f"Stays on {node_id}: {', '.join(items)}{how}"


def _hint(error: RemoteError, space: dict[str, object]) -> str:
    missing = _UNDEFINED.search(str(error)) if error.type_name == "NameError" else None
    if missing is None or missing[1] not in space:
        return ""
    return f"{missing[1]!r} exists here, but was not sent: add -i {missing[1]}"
