"""The magics for the variables of a session: list, get, put and remove them, without a cell.

``tests/jupyter_extension/magics/test_variable_magics.py`` proves it in real kernels.
"""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class

from easyremote.client.refs import size_text
from easyremote_jupyter.magics.options import Options, parse, parse_target, split_words
from easyremote_jupyter.magics.place_magics import PlaceMagics
from easyremote_jupyter.output.display import Output
from easyremote_jupyter.output.tables import html_table, text_table
from easyremote_jupyter.output.tracebacks import one_line_errors
from easyremote_jupyter.places.places import Place
from easyremote_jupyter.places.shipping import load

__all__ = ["VariableMagics", "VariableTable"]

_HEADINGS = ("Name", "Type", "Size", "Value")
#: Characters of a value that the table shows.
_TEXT_MAX = 60


class VariableTable(dict[str, dict[str, Any]]):
    """The variables of a session; shows itself as a table."""

    def __repr__(self) -> str:
        return text_table(_HEADINGS, self._rows())

    def _repr_html_(self) -> str:
        return html_table(_HEADINGS, self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (name, what["type"], size_text(what["size"]), _short(what["text"]))
            for name, what in sorted(self.items())
        ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_MAX else f"{line[: _TEXT_MAX - 1]}…"


@magics_class
class VariableMagics(PlaceMagics):
    """See the module."""

    @line_magic
    def remote_vars(self, line: str) -> VariableTable:
        """List the variables of a session: ``%remote_vars [TARGET]``."""
        with one_line_errors():
            place = self._places.find(parse(line))
            return VariableTable(place.session.ask("list")["variables"])

    @line_magic
    def remote_get(self, line: str) -> None:
        """Bring variables here, however large: ``%remote_get [TARGET] NAME ...``."""
        place, names = self._arguments("remote_get", line)
        with one_line_errors():
            answer = place.session.ask("get", names, place.held.graph.key)
            values = place.open(answer | {"gone": []}, self.shell.user_ns, Options(), place.held)
        self.shell.user_ns.update(values)

    @line_magic
    def remote_put(self, line: str) -> None:
        """Send variables: ``%remote_put [TARGET] [--force-push] NAME ...``."""
        options = Options(force_push="--force-push" in line.split())
        place, names = self._arguments("remote_put", line.replace("--force-push", ""))
        space = self.shell.user_ns
        for name in names:
            if name not in space:
                raise UsageError(f"{name}: there is no variable of that name here")
        values = {name: space[name] for name in names}
        with one_line_errors():
            if not self._put(place, values, options):
                place.held.forget()  # the session is new
                self._put(place, values, options)

    def _put(self, place: Place, values: dict[str, object], options: Options) -> bool:
        """Send variables; False where the session doesn't have what it is taken to have."""
        with Output(self.shell) as output:
            request, told = load(
                *(place.session, place.held, values, {}, options, output),
                trusts_blobs=False,
                again=True,
            )
        answer = place.session.ask("put", request["packed"], request["shared"])
        if answer.get("stale"):
            return False
        place.held.graph, place.held.process = told.after, answer["process"]
        return True

    @line_magic
    def remote_rm(self, line: str) -> None:
        """Remove variables of a session, not those here: ``%remote_rm [TARGET] NAME ...``."""
        place, names = self._arguments("remote_rm", line)
        with one_line_errors():
            place.session.ask("delete", names)
        place.held.drop(names)

    def _arguments(self, magic: str, line: str) -> tuple[Place, list[str]]:
        """The session and the names; a first word that is no variable is the target."""
        words = split_words(line)
        target = words.pop(0) if words and self._is_target(words[0]) else ""
        words = " ".join(words).replace(",", " ").split()
        wrong = [word for word in words if not word.isidentifier()]
        if not words or wrong:
            raise UsageError(f"%{magic} [TARGET] NAME ...: {wrong[0] if wrong else 'no name'}")
        with one_line_errors():
            return self._places.find(parse_target(target)), words

    def _is_target(self, word: str) -> bool:
        return not word.isidentifier() or word in self._places.known_nodes()
