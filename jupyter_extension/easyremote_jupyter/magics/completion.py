"""Tab on the lines of our magics: nodes, then options, then names of variables.

`complete` is pure. `NodeCache` knows the nodes without a wait for the gateway. `matcher` makes an
IPython matcher (API v2) from the two.
``tests/jupyter_extension/magics/test_completion.py`` proves it, also through a real kernel.
"""

from __future__ import annotations

import glob
import os
import re
import threading
import time
from argparse import Action
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

import easyremote
from easyremote.client.targets import ANY, FACTS
from easyremote.errors import EasyRemoteError
from easyremote.protocol.snapshot import NodeInfo
from easyremote_jupyter.magics.options import PARSER
from easyremote_jupyter.places.places import Places

__all__ = ["Known", "NodeCache", "complete", "is_ours", "matcher", "what_is_known"]

#: Seconds that Tab may wait for the gateway.
WAIT_LIMIT = 0.15
#: Seconds for which a list of nodes is used; and while the next list is being fetched.
FRESH = 2.0
USABLE = 60.0

_IDENTIFIER = "easyremote"
_LINE = re.compile(r"\s*(?:[^\W\d][\w.]*\s*=\s*)?(%%?)(remote\w*)\s(.*)")
#: The options of the other magics; ``%%remote`` and ``%remote`` take all options of a cell.
_COMPANIONS: dict[str, list[str]] = {
    "remote_attach": ["--auto", "--session", "--where"],
    "remote_cancel": ["--kill"],
    "remote_doctor": [],
    "remote_env": ["--all"],
    "remote_fetch": ["--overwrite", "--to"],
    "remote_files": ["--session", "--where"],
    "remote_get": [],
    "remote_job": ["--follow"],
    "remote_jobs": ["--all", "--wait"],
    "remote_nodes": ["--json", "--watch"],
    "remote_panel": ["--close"],
    "remote_put": ["--force-push"],
    "remote_restart": ["--session", "--where"],
    "remote_rm": [],
    "remote_vars": [],
}
#: Magics that take no node, and magics that take names of variables after the node.
_WITHOUT_TARGET = {"remote_cancel", "remote_job", "remote_jobs", "remote_nodes", "remote_panel"}
_WITH_NAMES = {"remote_get", "remote_put", "remote_rm"}


@dataclass(frozen=True, slots=True)
class Known:
    """The names that can be completed."""

    nodes: Callable[[], list[NodeInfo]] = list
    #: The sessions of this notebook, as ``node/session``.
    sessions: Callable[[], Collection[str]] = list
    variables: Callable[[], Iterable[str]] = list
    #: Returns the paths that begin with a text; folders end with a slash.
    paths: Callable[[str], Iterable[str]] = lambda start: ()


def what_is_known(shell: Any, places: Places) -> Known:
    """The names that can be completed in a notebook."""
    cache = NodeCache(lambda: easyremote.connect().list_nodes())
    hidden = shell.user_ns_hidden
    return Known(
        cache.get,
        places.names,
        lambda: [n for n in shell.user_ns if n not in hidden and not n.startswith("_")],
        _paths,
    )


def _paths(start: str) -> list[str]:
    found = glob.glob(glob.escape(os.path.expanduser(start)) + "*")
    return sorted(path + "/" if os.path.isdir(path) else path for path in found)


@dataclass(slots=True)
class NodeCache:
    """The nodes, fetched in the background.

    Parameters
    ----------
    fetch
        Asks the gateway; it may be slow.
    """

    fetch: Callable[[], list[NodeInfo]]
    _nodes: list[NodeInfo] = field(default_factory=list)
    _fetched: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: threading.Event | None = None

    def get(self, limit: float = WAIT_LIMIT) -> list[NodeInfo]:
        """The nodes that are known after at most `limit` seconds; there may be none."""
        age = time.monotonic() - self._fetched
        if age > FRESH:
            with self._lock:
                done = self._done
                if done is None:
                    done = self._done = threading.Event()
                    threading.Thread(target=self._refresh, args=(done,), daemon=True).start()
            if age > USABLE:
                done.wait(limit)
        return self._nodes

    def _refresh(self, done: threading.Event) -> None:
        try:
            self._nodes = self.fetch()
            self._fetched = time.monotonic()
        except EasyRemoteError:
            pass  # no gateway: the next cell says so, Tab does not
        finally:
            self._done = None
            done.set()


def complete(line: str, known: Known, *, is_first: bool = True) -> tuple[str, list[str]] | None:
    """Complete the line of one of our magics.

    Parameters
    ----------
    line
        The text before the cursor.
    known
        What can be named.
    is_first
        Whether it is the first line of its cell: only there a cell magic is one.

    Returns
    -------
    tuple or None
        The end of the line that is replaced, and the completions; None where the line is not one of
        our magics.
    """
    match = _LINE.fullmatch(line)
    if match is None or (match[1] == "%%" and not (is_first and match[2] == "remote")):
        return None
    before, fragment = _words(match[3])
    if match[2] != "remote":
        if match[2] not in _COMPANIONS:
            return None
        return _companion(match[2], before, fragment, known)
    option = PARSER._option_string_actions.get(before[-1]) if before else None
    if option is not None and option.nargs != 0:
        return _value(option, fragment, known)
    name, equals, value = fragment.partition("=")
    if equals and (option := PARSER._option_string_actions.get(name)) is not None:
        return _value(option, value, known)
    has_target = bool(_positional(before))
    if has_target and match[1] == "%" and not fragment.startswith("-"):
        return None  # the expression
    targets = [] if has_target or fragment.startswith("-") else _targets(fragment, known)
    return fragment, targets + _starting(fragment, _flags(fragment))


def _words(text: str) -> tuple[list[str], str]:
    """The words before the cursor, and the word at it; blanks in quotes do not separate words."""
    words = re.findall(r"(?:'[^']*(?:'|$)|\"[^\"]*(?:\"|$)|\S)+", text)
    if not words or (text[-1:].isspace() and not re.search(r"['\"]", words[-1])):
        return words, ""
    return words[:-1], words[-1]


def _positional(words: list[str]) -> list[str]:
    """The words that are neither options nor values of options."""
    found, takes_value = [], False
    for word in words:
        option = PARSER._option_string_actions.get(word)
        if option is None and not takes_value and not word.startswith("-"):
            found.append(word)
        takes_value = option is not None and option.nargs != 0
    return found


def _companion(
    magic: str, before: list[str], fragment: str, known: Known
) -> tuple[str, list[str]] | None:
    option = PARSER._option_string_actions.get(before[-1]) if before else None
    if option is not None and option.nargs != 0:
        return _value(option, fragment, known)
    found: list[str] = []
    if magic not in _WITHOUT_TARGET and not _positional(before) and not fragment.startswith("-"):
        found += _targets(fragment, known)
    found += _starting(fragment, _COMPANIONS[magic])
    if magic in _WITH_NAMES:
        found += _starting(fragment, sorted(known.variables()))
    return fragment, found


def _targets(fragment: str, known: Known) -> list[str]:
    if "/" in fragment:
        return _starting(fragment, sorted(known.sessions()))
    online = [node.node_id for node in known.nodes() if node.state == "online"]
    return _starting(fragment, [*sorted(online), ANY])


def _flags(fragment: str) -> list[str]:
    """The options: one spelling of each, or all spellings where one was begun."""
    actions = [action for action in PARSER._actions if action.option_strings]
    if fragment:
        return sorted(spelling for action in actions for spelling in action.option_strings)
    return sorted(action.option_strings[-1] for action in actions)


def _value(option: Action, fragment: str, known: Known) -> tuple[str, list[str]]:
    """Complete the value of an option; of a list, its last part."""
    part = re.split(r"[,='\"]", fragment)[-1].lstrip()
    if option.dest in ("inputs", "outputs"):
        return part, _starting(part, sorted(known.variables()))
    if option.dest == "files":
        return part, list(known.paths(part))
    if option.dest == "where":
        labels = {label for node in known.nodes() for label in node.labels}
        return part, _starting(part, [*FACTS, *sorted(labels)])
    if option.dest == "session":
        names = {name.partition("/")[2] for name in known.sessions()}
        return fragment, _starting(fragment, sorted(names))
    return fragment, _starting(fragment, [str(choice) for choice in option.choices or ()])


def _starting(fragment: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(fragment)]


def matcher(known: Known) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """A matcher for `IPCompleter.custom_matchers`."""

    # It comes before IPython's own matchers, and suppresses their offers.
    @context_matcher(identifier=_IDENTIFIER, priority=1000)  # type: ignore[untyped-decorator]
    def complete_remote(context: CompletionContext) -> SimpleMatcherResult:
        is_first = not "".join(context.full_text.split("\n")[: context.cursor_line]).strip()
        found = complete(context.text_until_cursor, known, is_first=is_first)
        if found is None or not found[1]:
            return {"completions": []}
        fragment, texts = found
        return {
            "completions": [SimpleCompletion(text, type="easyremote") for text in texts],
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    typed: Any = complete_remote
    return typed  # type: ignore[no-any-return]


def is_ours(each: object) -> bool:
    """Whether a matcher is one of this extension."""
    return str(getattr(each, "matcher_identifier", "")).startswith(_IDENTIFIER)
