"""The magics: ``%%remote``, ``%remote`` and ``%remote_nodes``.

They read a line of options, find the node, decide with `capture`, `closure` and `held` what to send
along, let `display` show what comes, and bind what comes back. What a session and a call are is
the client's business. ``tests/jupyter_extension/test_magics.py`` proves it in real kernels.
"""

from __future__ import annotations

import argparse
import builtins
import difflib
import os
import re
import sys
import types
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
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.utils.text import DollarFormatter

import easyremote
from easyremote.client.client import NodeInfo
from easyremote.client.session import Session
from easyremote.errors import CannotShip, EasyRemoteError, RemoteError

from .capture import Names, names
from .closure import closure
from .display import Output, one_line_errors, show_notice, show_result, watch
from .held import Held
from .nodes import NodeTable

NODE_VARIABLE = "EASYREMOTE_NODE"

_OPTION = re.compile(r"\s*(-q|--quiet)(?=\s|$)\s*|\s*(-\w|--[\w-]+)[\s=]+(\S+)\s*")
_WORD = re.compile(r"\s*([\w./-]+)(?=\s)\s*")
_UNDEFINED = re.compile(r"name '(\w+)' is not defined")


def _names(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",") if name.strip()]
    for name in found:
        if not name.isidentifier():
            raise argparse.ArgumentTypeError(f"{name!r} is no name of a variable")
    return found


def _outputs(text: str) -> dict[str, str] | str:
    """``a,b=c`` as the names there and here."""
    if text.strip("'\"") == "*":
        return "*"
    pairs = [item.partition("=")[::2] for item in text.split(",") if item.strip()]
    # In -o here=there the name here comes first, as in an assignment.
    return {_names(there or here)[0]: _names(here)[0] for here, there in pairs}


@magics_class
class RemoteMagics(Magics):
    """See the module."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._sessions: dict[tuple[str, str], tuple[Session, Held]] = {}

    @line_cell_magic
    @no_var_expand
    @output_can_be_silenced
    @magic_arguments()
    @argument("target", nargs="?", default="", metavar="NODE[/SESSION]",
              help=f"where to run; default: ${NODE_VARIABLE}, else the only node online")
    @argument("-i", "--in", dest="inputs", type=_names, default=[], metavar="a,b",
              help="send these variables too")
    @argument("-o", "--out", dest="outputs", type=_outputs, default="auto", metavar="a,b",
              help="bring these back, whatever their size (here=there renames, '*': all that is "
              "new); default: those that the cell assigns, if they are small")
    @argument("-s", "--session", default="", help="which session of the node; default: this kernel's")
    @argument("-t", "--timeout", type=float, help="seconds that the cell may run")
    @argument("-q", "--quiet", action="store_true", help="show only the value, displays and errors")
    @argument("--progress", choices=["auto", "html", "text", "none"], default="auto",
              help="how progress bars are drawn")
    def remote(self, line: str, cell: str | None = None) -> object:
        """Run a cell, or an expression, on a node, as if it ran here.

        The variables that it reads are sent along; those that it assigns come back.
        """
        client = easyremote.connect()
        with one_line_errors():
            head, expression = (line, "") if cell is not None else self._split(line)
            options = parse_argstring(self.remote, self._expanded(head))
            session, held = self._session(client, options)
        if cell is None:
            options.outputs = "none"
            return self._run(session, held, options, expression, is_expression=True)
        if not cell.lstrip().startswith("%%"):
            # The magic's line, so that the lines of tracebacks are those of the notebook.
            cell = f"# %%remote {line}\n{cell}"
        return self._run(session, held, options, cell)

    @line_magic
    def remote_nodes(self, line: str) -> NodeTable:
        """Show the nodes that the gateway knows."""
        with one_line_errors():
            return NodeTable(easyremote.connect().list_nodes())

    # -- where

    def _split(self, line: str) -> tuple[str, str]:
        """Options and target of ``%remote [TARGET] [options] EXPR``, and the expression."""
        nodes: set[str] | None = None
        position = 0
        while True:
            match = _OPTION.match(line, position)
            if match is None and nodes is None and (match := _WORD.match(line, position)):
                nodes = {node.node_id for node in easyremote.connect().list_nodes()}
                if match[1].partition("/")[0] not in nodes:
                    match = None
            if match is None:
                break
            position = match.end()
        if not line[position:].strip():
            raise UsageError("%remote needs an expression, as in: y = %remote gpu-node f(x)")
        return line[:position], line[position:]

    def _expanded(self, head: str) -> str:
        """Put the values of ``$name`` and ``{expression}`` into the options, as IPython does."""
        try:
            return str(DollarFormatter().vformat(head, [], dict(self.shell.user_ns)))
        except Exception:  # an expression is the user's code; IPython leaves the line alone, too
            return head

    def _session(self, client: Any, options: argparse.Namespace) -> tuple[Session, Held]:
        node_id, _, session = options.target.partition("/")
        node_id, session = node_id or os.environ.get(NODE_VARIABLE, ""), options.session or session
        if (node_id, session) not in self._sessions:
            node_id = _find(node_id, client.list_nodes())
            # Known by its name already when it was the only one.
            if (node_id, session) not in self._sessions:
                made = Session(client, node_id, session or None)
                self._sessions[node_id, session] = made, Held()
        return self._sessions[node_id, session]

    # -- what travels

    def _run(
        self,
        session: Session,
        held: Held,
        options: argparse.Namespace,
        code: str,
        *,
        is_expression: bool = False,
    ) -> object:
        space = self.shell.user_ns
        found = self._names(code)
        for name in options.inputs:
            if name not in space:
                raise UsageError(f"-i {name}: there is no variable of that name here")
        needs = closure(found.reads | set(options.inputs), space)
        is_renaming = isinstance(options.outputs, dict)
        request = {
            "code": code,
            "count": self.shell.execution_count,
            "imports": needs.imports,
            "outputs": list(options.outputs) if is_renaming else options.outputs,
            "writes": sorted(found.writes | found.mutates),
        }
        output = Output(self.shell, progress=options.progress, quiet=options.quiet)
        touched = {*needs.variables, *found.writes, *found.mutates}
        with one_line_errors(session.node_id, lambda error: _hint(error, space)):
            try:
                answer = self._answer(session, held, request, needs.variables, found, options, output)
            except RemoteError:
                held.note(touched, space)  # what it assigned before it failed is there
                raise
            except (EasyRemoteError, KeyboardInterrupt):
                held.forget()
                raise
            finally:
                output.finish()
        self._bind(answer, options.outputs if is_renaming else {})
        held.process = answer["process"]
        held.note({*touched, *answer["names"], *answer["kept"]}, space)
        if answer["kept"] and not options.quiet:
            show_notice(_kept(answer["kept"], session.node_id))
        if is_expression:
            return answer.get("value")
        if output.result is not None:
            show_result(self.shell, output.result, answer)
        return None

    def _names(self, code: str) -> Names:
        hidden, space = self.shell.user_ns_hidden, self.shell.user_ns
        shadowed = {name for name in vars(builtins) if name in space and name not in hidden}
        try:
            return names(code, shadowed=shadowed)
        except SyntaxError:
            return Names()  # the node says so, with the cell's lines

    def _answer(
        self,
        session: Session,
        held: Held,
        request: dict[str, Any],
        variables: dict[str, object],
        found: Names,
        options: argparse.Namespace,
        output: Output,
    ) -> dict[str, Any]:
        """Run the cell once; twice if its session began anew since the last one."""
        while True:
            believed = {"process": held.process} if held.process else {}
            try:
                job = session.submit_cell(
                    {**request, **believed, "variables": held.missing(variables)},
                    timeout=options.timeout,
                )
            except CannotShip:
                # What the cell may assign itself need not come from here.
                kept = {n: v for n, v in variables.items() if n not in found.optional}
                if kept.keys() == variables.keys():
                    raise
                variables = kept
                continue
            watch(job, output.show)
            answer: dict[str, Any] = job.result()
            if "names" in answer:
                return answer
            held.forget()
            show_notice(f"The session on {session.node_id} is a new one: its variables are gone.")

    # -- what comes back

    def _bind(self, answer: dict[str, Any], renames: dict[str, str]) -> None:
        space = self.shell.user_ns
        for name, value in answer["names"].items():
            space[renames.get(name, name)] = value
        for name, module in answer["imports"].items():
            if module in sys.modules:  # importing it here could take long, and wasn't asked for
                space[renames.get(name, name)] = sys.modules[module]


def _visible(shell: Any) -> dict[str, object]:
    """The user's own variables: not what IPython keeps among them."""
    hidden = shell.user_ns_hidden
    return {n: v for n, v in shell.user_ns.items() if n not in hidden or hidden[n] is not v}


def _find(target: str, nodes: list[NodeInfo]) -> str:
    """The node that is meant, online."""
    online = sorted(node.node_id for node in nodes if node.state == "online")
    listed = f"Online: {', '.join(online)}." if online else "No node is online."
    if target in online:
        return target
    if not target and len(online) == 1:
        return online[0]
    if not target:
        raise UsageError(f"Name a node: %%remote NODE, or set {NODE_VARIABLE}. {listed}")
    if target in {node.node_id for node in nodes}:
        raise UsageError(f"The node {target!r} is offline. {listed}")
    close = difflib.get_close_matches(target, online, 1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"There is no node {target!r}.{guess} {listed}")


def _kept(kept: dict[str, dict[str, Any]], node_id: str) -> str:
    """What stayed on the node, and how to have it."""
    large = {name: what for name, what in kept.items() if what["size"]}
    items = [f"{name} ({what['type']}, {what['size'] / 1e6:,.0f} MB)" for name, what in large.items()]
    items += [f"{name} ({what['type']})" for name, what in kept.items() if not what["size"]]
    how = f"; -o {','.join(large)} brings {'it' if len(large) == 1 else 'them'}" if large else ""
    return f"Stays on {node_id}: {', '.join(items)}{how}"


def _hint(error: RemoteError, space: dict[str, object]) -> str:
    missing = _UNDEFINED.search(str(error)) if error.type_name == "NameError" else None
    if missing is None or missing[1] not in space:
        return ""
    return f"{missing[1]!r} exists here, but was not sent: add -i {missing[1]}"
