"""``%%remote`` and ``%remote``: run a cell or an expression on a node.

They read the line of options, find the node with `places`, find the variables to send with
`capture`, show the output with `output`, and bind the variables that come back. Sessions and calls
are in `easyremote.client`. ``tests/jupyter_extension/magics/test_remote.py`` proves it in real
kernels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.utils.text import DollarFormatter

import easyremote
from easyremote.client.files.sending import named_files
from easyremote.errors import CallTimeout, EasyRemoteError, RemoteError
from easyremote.events import Value
from easyremote.options.notify import read_notify
from easyremote.serialize.files import File
from easyremote_jupyter.capture.closure import Shipment, closure, evaluated, named_submodules
from easyremote_jupyter.capture.files import paths_in
from easyremote_jupyter.capture.local_modules import Package, local_modules
from easyremote_jupyter.capture.names import OF_EVERY_SHELL, Names, names
from easyremote_jupyter.here.imports import bind as bind_imports
from easyremote_jupyter.jobs import CellJob, Jobs
from easyremote_jupyter.magics.cells import dedented, is_empty, refuse_nested
from easyremote_jupyter.magics.dry_run import show_plan
from easyremote_jupyter.magics.missing import missing_file_hint, missing_module_hint
from easyremote_jupyter.magics.options import HELP, Options, parse, split
from easyremote_jupyter.magics.requirements import of_script
from easyremote_jupyter.output.background import Panel
from easyremote_jupyter.output.display import (
    Output,
    draw_value,
    keep_value,
    show_notice,
)
from easyremote_jupyter.output.staying import is_news, stays
from easyremote_jupyter.output.tracebacks import one_line_errors, show_error
from easyremote_jupyter.output.watch import Watcher
from easyremote_jupyter.places.beside import named_beside
from easyremote_jupyter.places.held import Held
from easyremote_jupyter.places.origin import origin
from easyremote_jupyter.places.places import Place, Places
from easyremote_jupyter.places.seeds import states
from easyremote_jupyter.widgets.widgets import Widgets

_UNDEFINED = re.compile(r"name '(\w+)' is not defined")
#: An address is a secret, which does not go to the node.
_ADDRESS = re.compile(r"--notify(?:\s+|=)(?:'[^']*'|\"[^\"]*\"|\S+)")
#: ``$name`` and ``{expression}`` in a line stand for values.
_EXPANDED = re.compile("[${]")


@magics_class
class RemoteMagics(Magics):
    """See the module."""

    shell: Any

    def __init__(self, shell: Any, places: Places, jobs: Jobs, widgets: Widgets) -> None:
        untyped: Any = super()
        untyped.__init__(shell)
        self._places, self._jobs, self._widgets = places, jobs, widgets

    @line_cell_magic
    @no_var_expand
    @output_can_be_silenced
    def remote(self, line: str, cell: str | None = None) -> object:
        # The docstring is set below, because it holds the options.
        cell = None if cell is None else dedented(cell)
        with one_line_errors():
            head, code = self._split(line) if cell is None else (line, cell)
            options = parse(self._expanded(head))
            if options.notify:
                options = replace(options, notify=read_notify(options.notify, "--notify"))
            refuse_nested(code, first_line=2)
        if cell is None:
            answer, _ = self._run(self._place(options), replace(options, outputs="none"), code)
            return answer.get("value")
        if not cell.lstrip().startswith("%%"):
            # With the magic's line, so that tracebacks have the line numbers of the notebook.
            code = f"# %%remote {_ADDRESS.sub('--notify ...', line)}\n{cell}"
        return self.run_cell(options, code)

    @cell_magic
    def remote_attached(self, line: str, cell: str) -> None:
        """Run a plain cell on the node of ``%remote_attach --auto``; see `cells`."""
        with one_line_errors():
            refuse_nested(cell, first_line=1)
        self.run_cell(Options(), cell)

    remote.__doc__ = f"""Run a cell, or an expression, on a node as if it ran here.

The variables that it reads are sent along; those that it assigns come back.

{HELP}"""

    def run_cell(self, options: Options, code: str) -> CellJob | None:
        """Run a cell as `options` say, and show its output; a background job returns at once."""
        if is_empty(code) and not isinstance(options.outputs, dict):
            return None
        try:
            if options.background is not None and not options.dry_run:
                return self._start(options, code)
            place = self._place(options)
            answer, value = self._run(place, options, code)
            self._note(place, options, code)
        except EasyRemoteError as error:
            if options.raise_error:
                raise
            if isinstance(error, RemoteError):
                show_error(self.shell, type(error), error, error.__traceback__)
            else:
                self.shell.showtraceback()
            return None
        if value is not None and "value" in answer:
            keep_value(self.shell, answer["value"])
        return None

    def bind_kept(self, place: Place, answer: dict[str, Any]) -> None:
        """Bind the variables that a kept cell has left, which another kernel may have started."""
        answer.pop("seeds", None)  # of another time
        self._bind(place, answer, Names(), Options(), Held())

    def run_again(self, options: Options, code: str) -> None:
        """Run a cell that ran before in a session that is new now; raises what it raises."""
        options = replace(options, background=None, notify="")
        self._run(self._place(options), options, code)

    def _note(self, place: Place, options: Options, code: str) -> None:
        """Note a cell that has run, for ``%remote_restart --again``."""
        if not (options.fresh or options.dry_run):
            place.ran.note(self._key(code), options, code)

    def _key(self, code: str) -> str:
        return origin(self.shell) or code

    # -- the line

    def _split(self, line: str) -> tuple[str, str]:
        return split(line, self._places.known_nodes())

    def _expanded(self, head: str) -> str:
        """Put the values of ``$name`` and ``{expression}`` into the options, as IPython does."""
        if not _EXPANDED.search(head):
            return head
        try:
            return str(DollarFormatter().vformat(head, [], dict(self.shell.user_ns)))
        except Exception:  # the user's expression raised: leave the line as it is, as IPython does
            return head

    # -- what travels

    def _place(self, options: Options) -> Place:
        with one_line_errors():
            return self._places.find(options)

    def _run(
        self, place: Place, options: Options, code: str
    ) -> tuple[dict[str, Any], Value | None]:
        """Run `code` as `options` say; returns the node's answer and the event with its value."""
        found = self._names(code)
        needs = self._needs(code, found, options)
        if options.dry_run:
            with one_line_errors():
                files = named_files(options.files)
                files |= self._beside(options, code, needs, ())[0]
                show_plan(place, needs, files.values(), found, options)
            return {}, None
        before = place.process
        try:
            return self._run_at(place, options, code, found, needs)
        finally:
            if options.fresh:
                place.end()
            if options.fresh or before != place.process:
                self._widgets.close(place.process if options.fresh else before)

    def _needs(self, code: str, found: Names, options: Options) -> Shipment:
        space = self.shell.user_ns
        for name in options.inputs:
            if name not in space:
                raise UsageError(f"-i {name}: there is no variable of that name here")
        reads = {*(found.reads if options.auto_in else ()), *options.inputs}
        hidden = self._hidden()
        needs = closure(reads, space, hidden=hidden)
        texts = evaluated(code, needs.variables.values()) if options.auto_in else set()
        return closure({*reads, *texts}, space, hidden=hidden) if texts else needs

    def _hidden(self) -> set[str]:
        """The names that every shell has by itself, but those that mean something else here."""
        space, hidden = self.shell.user_ns, self.shell.user_ns_hidden
        return {name for name, value in hidden.items() if space.get(name) is value}

    def _run_at(
        self, place: Place, options: Options, code: str, found: Names, needs: Shipment
    ) -> tuple[dict[str, Any], Value | None]:
        space, node_id = self.shell.user_ns, place.session.node_id
        request = self._request(options, code, found, needs)
        place.newest = self._widgets.message()
        output = Output(
            self.shell,
            progress=options.progress,
            quiet=options.quiet,
            jobs=self._jobs,
            node_id=node_id,
            title=f"In[{request['count']}]",
            feed=lambda: easyremote.connect().watch(),
            say=partial(self._widgets.receive, place.session),
            # The value of `%remote` is that of the line.
            draw=partial(draw_value, self.shell) if options.outputs != "none" else None,
        )
        with one_line_errors(node_id, lambda error: _hint(error, space)), output:
            try:
                answer = self._answer(place, request, found, needs, options, output, place.held)
            except (RemoteError, CallTimeout) as error:
                if not error.may_have_run:
                    raise
                # The variables that the cell assigned before it failed come back, too.
                if (left := place.collect(place.held)) is None:
                    place.held.forget()
                else:
                    self._bind(place, left, found, options, place.held)
                raise
            except (EasyRemoteError, KeyboardInterrupt):
                place.held.forget()
                raise
        return self._bind(place, answer, found, options, place.held), output.result

    def _answer(
        self,
        place: Place,
        request: dict[str, Any],
        found: Names,
        needs: Shipment,
        options: Options,
        output: Watcher,
        held: Held,
    ) -> dict[str, Any]:
        space = self.shell.user_ns
        return place.run(request, needs.variables, found.optional, options, output, space, held)

    def _request(
        self, options: Options, code: str, found: Names, needs: Shipment
    ) -> dict[str, Any]:
        """The request for the node, without the variables."""
        renames = options.outputs if isinstance(options.outputs, dict) else {}
        with one_line_errors():
            requirements = [*options.requirements, *of_script(code)]
            modules = local_modules(code, needs.imports, needs.variables) if options.modules else []
            files = named_files(options.files)
            beside = self._beside(options, code, needs, modules)
        return {
            "code": code,
            "count": self.shell.displayhook.prompt_count,  # of the cell that runs
            "imports": needs.imports,
            "submodules": named_submodules(needs.imports.values(), code),
            "outputs": list(renames) if renames else options.outputs,
            "limits": options.pull,
            "requirements": requirements,
            "modules": modules,
            "files": files,
            "beside": beside,
            "writes": sorted(found.writes | found.mutates),
            "imported": found.imports,
            "seeds": states(),
            "no_input": self._no_input(options),
            "background": options.background is not None,
            # The output of a background job is not published under this cell.
            "parent": "" if options.background is not None else self._widgets.parent(),
            "origin": origin(self.shell),
        }

    def _beside(
        self, options: Options, code: str, needs: Shipment, modules: Iterable[Package]
    ) -> tuple[dict[str, File], list[str]]:
        """The files beside the notebook that go along, and folders that the cell may need."""
        if not options.beside:
            return {}, []
        files, folders = named_beside(paths_in(code, needs.variables, modules))
        for name in named_files(options.files):
            files.pop(name, None)
        return files, folders

    def _no_input(self, options: Options) -> str:
        """Why the cell can't ask for input; empty where it can."""
        if not options.stdin:
            return "--no-stdin says so"
        if options.background is not None:
            return "it runs in the background"
        if not getattr(getattr(self.shell, "kernel", None), "_allow_stdin", True):
            return "this notebook runs without a user"
        return ""

    def _start(self, options: Options, code: str) -> CellJob | None:
        """Run a cell in the background; returns its job, or None where a variable holds it."""
        place = self._place(options)
        found = self._names(code)
        needs = self._needs(code, found, options)
        request = self._request(options, code, found, needs)
        place.newest = self._widgets.message()
        space, came, key = self.shell.user_ns, list[dict[str, Any]](), self._key(code)
        cell = CellJob(options.background or "", place.session.node_id)
        title = f"In[{request['count']}]"
        say = partial(self._widgets.receive, place.session)
        held = Held()  # it runs beside others: it shares no objects with them
        panel = Panel(self.shell, cell, self._jobs, title, say)

        def run() -> None:
            with one_line_errors(cell.node_id, lambda error: _hint(error, space)), panel:
                try:
                    came.append(self._answer(place, request, found, needs, options, panel, held))
                    if not options.fresh:
                        place.ran.note(key, options, code)
                except (RemoteError, CallTimeout) as error:
                    if error.may_have_run:
                        came.extend(filter(None, [place.collect(held)]))
                    raise
                finally:
                    if options.fresh:
                        place.end()

        def settle() -> Any:
            place.held.forget()
            if not came:
                return None
            came[0].pop("seeds", None)  # the cells here have gone on with their own numbers
            return self._bind(place, came[0], found, options, held).get("value")

        panel.draw(update=False)
        cell.start(run, settle, panel.tell_end)
        if not cell.name:
            return cell
        space[cell.name] = cell
        return None

    def _names(self, code: str) -> Names:
        space, hidden = self.shell.user_ns, self._hidden()
        shadowed = (space.keys() & OF_EVERY_SHELL) - hidden
        try:
            return names(code, shadowed=shadowed)
        except SyntaxError:
            return Names()  # the node reports it, with the cell's lines

    # -- what comes back

    def _bind(
        self,
        place: Place,
        answer: dict[str, Any],
        found: Names,
        options: Options,
        held: Held,
    ) -> dict[str, Any]:
        """Bind the variables that came back; returns the answer, with ``value`` if there is one."""
        space = self.shell.user_ns
        renames = options.outputs if isinstance(options.outputs, dict) else {}
        values = place.open(answer, space, options, held)
        answer = answer | ({"value": values.pop("")} if "" in values else {})
        for name, value in values.items():
            space[renames.get(name, name)] = value
        for name in answer["deleted"]:
            space.pop(name, None)
        bind_imports(
            space,
            {renames.get(name, name): module for name, module in answer["imports"].items()},
            answer["imported"],
            found.imports,
        )
        kept = {
            name: what for name, what in answer["kept"].items() if is_news(name, what, found.blocks)
        }
        if kept and not options.quiet:
            show_notice(stays(kept, place.session.node_id))
        return answer


def _hint(error: RemoteError, space: dict[str, object]) -> str:
    if line := missing_module_hint(error) or missing_file_hint(error):
        return line
    missing = _UNDEFINED.search(str(error)) if error.type_name == "NameError" else None
    if missing is None or missing[1] not in space:
        return ""
    return f"{missing[1]!r} exists here, but was not sent: add -i {missing[1]}"
