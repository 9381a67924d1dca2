"""Reads the line of ``%%remote``: its target and its options. Pure.

``tests/jupyter_extension/magics/test_options.py`` proves it.
"""

from __future__ import annotations

import argparse
import functools
import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NoReturn

from easyremote.client.targets import ANY, NODE_VARIABLE, parse_where
from easyremote.errors import UsageError
from easyremote.options.requirements import Requirements, parse_needs
from easyremote.options.spelling import did_you_mean
from easyremote_jupyter.magics.readers import (
    PULL,
    Outputs,
    files,
    hold,
    inputs,
    is_length,
    keep,
    outputs,
    priority,
    pull,
    seconds,
)
from easyremote_jupyter.magics.requirements import parse_with

__all__ = ["HELP", "PARSER", "Options", "parse", "parse_target", "split", "split_words"]

_WORD = re.compile(r"\s*(\$?[\w./-]+)\s+")

EXAMPLES = """\
examples:
  %%remote gpu-node                      there, with the variables that the cell reads
  %%remote gpu-node/train -o model       in the session "train"; bring back `model`, however large
  %%remote any --where 'gpu>=1,mem>=8G'  wherever there is a GPU
  %%remote --fresh -i seed --no-auto-in  in a new session, with nothing but `seed`
  %%remote -o mine=theirs -t 60          `theirs` there is `mine` here; for a minute at most
  %%remote gpu-node --bg fit             go on at once; `fit` is the job
  %%remote gpu-node --bg --keep 7d       and find its variables again within a week
  %%remote gpu-node --bg --notify me     and tell me when it is over
  %%remote --file data/train.csv         with a file, which is data/train.csv there as well
  y = %remote gpu-node f(x)              one expression, and its value
"""


@dataclass(slots=True)
class Options:
    """The target and the options of a line."""

    #: The node, ``any``, or "" where no target is named.
    node: str = ""
    #: The session of the node; "" for this kernel's own.
    session: str = ""
    #: With ``any``: the conditions for the node.
    where: str = ""
    fresh: bool = False
    inputs: list[str] = field(default_factory=list)
    auto_in: bool = True
    #: The variables that come back: their names there, and their names here.
    outputs: Outputs = "auto"
    #: Bytes of one value, and of all values of a cell, that come back without being named.
    pull: tuple[float, float] = PULL
    #: Paths of files that are sent into the session's folder.
    files: list[str] = field(default_factory=list)
    force_push: bool = False
    timeout: float | None = None
    queue_timeout: float | None = None
    needs: Requirements | None = None
    priority: int = 0
    #: The name of the background job, "" for a job without a name; None for a foreground cell.
    background: str | None = None
    #: Seconds that the cell goes on when this kernel is gone, or `KEEP`; None for the default.
    hold: float | None = None
    #: How long the outcome of a background cell is kept by the gateway, as typed; "" for not.
    keep: str = ""
    #: Whether the cell may ask for input.
    stdin: bool = True
    #: Packages that are installed for the session, beside those of the node.
    requirements: list[str] = field(default_factory=list)
    #: Whether the notebook's own modules that the cell imports are sent.
    modules: bool = True
    #: Whether files that the cell names are sent, and those that it writes come back.
    beside: bool = True
    #: Who is told of its end: an address, or the name of one; "" for nobody.
    notify: str = ""
    quiet: bool = False
    progress: str = "auto"
    raise_error: bool = True
    dry_run: bool = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self._in_words(message)} See %%remote? for the options.")

    def _in_words(self, message: str) -> str:
        """A message of argparse in words for people who don't know argparse."""
        option, _, what = message.removeprefix("argument ").partition(": ")
        if option == "unrecognized arguments":
            return self._unknown(what.split()[0])
        if what == "expected one argument":
            action = self._option_string_actions[option.split("/")[0]]
            value = action.metavar or (action.dest or "").upper()
            return f"{option} needs a value: {action.option_strings[0]} {value}."
        if what.startswith("ignored explicit argument"):
            return f"{option} takes no value."
        choice = re.match(r"invalid choice: ('.*?') \(choose from (.*)\)", what)
        if choice:
            return f"{option}: {choice[1]} is none of {choice[2].replace(chr(39), '')}."
        return f"{option}: {what}."

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word}: a cell has one target; the other words are options."
        known = [each for each in self._option_string_actions if each.startswith("--")]
        return f"There is no option {word}.{did_you_mean(word, known)}"


def _parser() -> _Parser:
    parser = _Parser(
        prog="%%remote",
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "node",
        nargs="?",
        metavar="TARGET",
        help="where to run: NODE, NODE/SESSION or 'any' (default: the node of %%remote_attach, "
        f"else ${NODE_VARIABLE}, else the only node online)",
    )
    _add_places(parser)
    _add_variables(parser)
    _add_conduct(parser)
    return parser


def _add_places(parser: _Parser) -> None:
    add = parser.add_argument
    add("-s", "--session", metavar="NAME", help="which session there (default: this kernel's own)")
    add("--fresh", action="store_true", help="a new session, which ends with the cell")
    add(
        "--where",
        metavar="CONDITIONS",
        help="with 'any': which nodes will do, as in 'gpu>=1,mem>=8G,python>=3.12,LABEL'",
    )
    add(
        "--needs",
        type=parse_needs,
        metavar="A,B",
        help="what the cell holds while it runs, as in 'gpu_memory=16GB,gpu=1,memory=8GB,cpu=2'; "
        "it waits until that is free",
    )


def _add_variables(parser: _Parser) -> None:
    add = parser.add_argument
    add(
        "-i",
        "--in",
        dest="inputs",
        action="extend",
        type=inputs,
        metavar="A,B",
        help="send these variables, too, beside those that the cell reads",
    )
    add("--no-auto-in", dest="auto_in", action="store_false", help="send those of -i only")
    add(
        "-o",
        "--out",
        dest="outputs",
        type=outputs,
        metavar="A,B",
        help="bring back these variables, however large ('a=b': b there is a here; '*': all new "
        "variables) (default: those that the cell assigns, if they are small)",
    )
    add(
        "--pull",
        type=pull,
        metavar="auto|always|never|SIZE",
        help="the largest value that comes back without being named, as in 100M; larger ones stay "
        "there as a RemoteRef (auto: 16 MB a value, 64 MB a cell)",
    )
    add(
        "--file",
        dest="files",
        action="extend",
        type=files,
        metavar="A,B",
        help="files to send; the cell finds them under the same paths",
    )
    add(
        "--with",
        dest="requirements",
        type=parse_with,
        metavar="A,B",
        help="what the session needs beside the node's own packages, as in 'polars>=1,xgboost'; "
        "uv installs it there, once (a '# /// script' block in the cell does the same)",
    )
    add(
        "--no-modules",
        dest="modules",
        action="store_false",
        help="do not send the modules of this notebook's folder that the cell imports",
    )
    add(
        "--no-files",
        dest="beside",
        action="store_false",
        help="do not send the files that the cell names, nor bring those that it writes",
    )
    add("--force-push", action="store_true", help="send more than 1 GB")


def _add_conduct(parser: _Parser) -> None:
    add = parser.add_argument
    add("-t", "--timeout", type=seconds, metavar="SECONDS", help="how long the cell may run")
    add(
        "--queue-timeout",
        type=seconds,
        metavar="SECONDS",
        help="how long it may wait for its turn on the node",
    )
    add(
        "--priority",
        type=priority,
        metavar="N",
        help="cells of a higher priority go first, whoever's they are; above 0 only for keys that "
        "may",
    )
    add(
        "--bg",
        dest="background",
        nargs="?",
        const="",
        metavar="NAME",
        help="go on at once; the job is NAME here, and its output stays with this cell",
    )
    add(
        "--keep",
        nargs="?",
        const="24h",
        metavar="24h",
        help="with --bg: the gateway keeps the cell and its outcome, whoever is gone; "
        "%%remote_collect brings it here, also after a restart of the kernel or elsewhere",
    )
    add(
        "--on-disconnect",
        dest="hold",
        type=hold,
        metavar="keep|cancel[:S]",
        help="what becomes of it S seconds after this kernel is gone (default: cancel:120; in the "
        "background: keep)",
    )
    add(
        "--notify",
        metavar="WHO",
        help="who is told when it is over, also while this notebook is closed: 'me' (save the "
        "address with 'easyremote notify'), or an address, as ntfys://ntfy.sh/my-topic",
    )
    add("--no-stdin", dest="stdin", action="store_false", help="input() fails instead of asking")
    add("-q", "--quiet", action="store_true", help="show only displays, the value and errors")
    add(
        "--progress",
        choices=["auto", "html", "widget", "text", "none"],
        help="how progress bars are drawn",
    )
    add(
        "--no-raise-error",
        dest="raise_error",
        action="store_false",
        help="show the error of the cell, but go on with the next one",
    )
    add("--dry-run", action="store_true", help="say what would be sent where, and send nothing")


PARSER = _parser()
#: For ``%%remote?``.
HELP = PARSER.format_help()


@functools.lru_cache(maxsize=128)
def parse(line: str) -> Options:
    """Read the options of a cell.

    The result for a line is remembered, because cells of a notebook have few different lines: don't
    change it.

    Raises
    ------
    UsageError
        An option is wrong; the message is one line.
    """
    options = Options(**vars(PARSER.parse_args(split_words(line))))
    if options.background and not options.background.isidentifier() and not options.node:
        # `--bg gpu-node`: a job without a name, and its target.
        options.node, options.background = options.background, ""
    if options.keep and not is_length(options.keep) and not options.node:
        options.node, options.keep = options.keep, "24h"  # `--keep gpu-node`
    if options.keep:
        keep(options.keep)
        if options.background is None or options.fresh:
            raise UsageError("--keep goes with --bg, and with a session that stays.")
    if options.background and not options.background.isidentifier():
        raise UsageError(f"--bg {options.background}: that is not the name of a variable.")
    options.node, _, session = options.node.partition("/")
    options.session = options.session or session
    if options.where:
        parse_where(options.where)
        options.node = options.node or ANY
        if options.node != ANY:
            raise UsageError(f"--where chooses a node, but {options.node!r} is named: write 'any'.")
    if options.fresh and options.session:
        raise UsageError(f"--fresh is a session without a name, but {options.session!r} is named.")
    return options


def parse_target(word: str) -> Options:
    """The options of a cell that has a target only; an empty word is no target."""
    return parse(shlex.quote(word))


def split_words(line: str) -> list[str]:
    """Split a line into words as a shell does: text in quotes is one word.

    Raises
    ------
    UsageError
        A quote has no end.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line.strip()}: {error}") from None


def _option_pattern() -> re.Pattern[str]:
    """One option at the start of a line, with its value."""
    flags: list[str] = []
    valued: list[str] = []
    for action in PARSER._actions:
        (flags if action.nargs == 0 else valued).extend(map(re.escape, action.option_strings))
    value = r"(?:\s+|=)(?:'[^']*'|\"[^\"]*\"|\S+)"
    return re.compile(rf"\s*(?:(?:{'|'.join(flags)})(?=\s|$)|(?:{'|'.join(valued)}){value})\s*")


_OPTION = _option_pattern()


def split(line: str, nodes: Collection[str]) -> tuple[str, str]:
    """Split ``[TARGET] [options] EXPRESSION``; the first word is a target only if it is known.

    Raises
    ------
    UsageError
        There is no expression.
    """
    position, has_node = 0, False
    while True:
        match = _OPTION.match(line, position)
        if match is None and not has_node:
            match = _WORD.match(line, position)
            # `$name` is no Python, so it is a target, which is expanded later.
            has_node = match is not None and (
                match[1].startswith("$") or match[1].partition("/")[0] in nodes
            )
            match = match if has_node else None
        if match is None:
            break
        position = match.end()
    if not line[position:].strip():
        raise UsageError("%remote needs an expression, as in: y = %remote gpu-node f(x)")
    return line[:position], line[position:]
