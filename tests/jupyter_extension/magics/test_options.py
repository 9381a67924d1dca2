"""The line of ``%%remote``."""

from __future__ import annotations

import re

import pytest

from easyremote.errors import UsageError
from easyremote.options.requirements import Requirements
from easyremote_jupyter.magics.options import HELP, PARSER, Options, parse, split
from tests.processes import LABEXTENSION


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", Options()),
        ("gpu", Options(node="gpu")),
        ("gpu/train", Options(node="gpu", session="train")),
        ("gpu -s train", Options(node="gpu", session="train")),
        ("-i a,b gpu", Options(node="gpu", inputs=["a", "b"])),
        ("-i a -i b,c", Options(inputs=["a", "b", "c"])),
        ("--file a.csv,data/b.csv gpu", Options(node="gpu", files=["a.csv", "data/b.csv"])),
        ("--file 'a b.csv' --file=c", Options(files=["a b.csv", "c"])),
        ("gpu -o a,b", Options(node="gpu", outputs={"a": "a", "b": "b"})),
        ("-o here=there", Options(outputs={"there": "here"})),
        ("-o '*'", Options(outputs="*")),
        ("-t 1.5 -q --progress text", Options(timeout=1.5, quiet=True, progress="text")),
        ("any", Options(node="any")),
        ("any --where 'gpu>=1, mem>=8G'", Options(node="any", where="gpu>=1, mem>=8G")),
        ("--where a100", Options(node="any", where="a100")),
        ("any/train --where fast", Options(node="any", session="train", where="fast")),
        ("gpu --fresh", Options(node="gpu", fresh=True)),
        ("-i a --no-auto-in", Options(inputs=["a"], auto_in=False)),
        ("--queue-timeout 5", Options(queue_timeout=5.0)),
        (
            "gpu --needs gpu_memory=16GB,gpu=1",
            Options(node="gpu", needs=Requirements(gpu=1, gpu_memory=16 * 10**9)),
        ),
        ("--priority 2", Options(priority=2)),
        ("--priority -1 gpu", Options(node="gpu", priority=-1)),
        ("--no-raise-error", Options(raise_error=False)),
        ("--dry-run", Options(dry_run=True)),
        ("gpu --bg", Options(node="gpu", background="")),
        ("gpu --bg fit", Options(node="gpu", background="fit")),
        ("--bg gpu-node", Options(node="gpu-node", background="")),
        ("--bg -q gpu", Options(node="gpu", background="", quiet=True)),
        ("--on-disconnect keep", Options(hold=-1.0)),
        ("--on-disconnect cancel", Options(hold=120.0)),
        ("--on-disconnect cancel:5", Options(hold=5.0)),
        ("--no-stdin --progress widget", Options(stdin=False, progress="widget")),
    ],
)
def test_lines_that_are_understood(line: str, options: Options) -> None:
    assert parse(line) == options


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gpu extra", "extra: a cell has one target; the other words are options."),
        ("-o 1x", "-o/--out: '1x' is not the name of a variable."),
        ("-t soon", "-t/--timeout: 'soon' is no number of seconds above 0."),
        ("-t -1", "-t/--timeout: '-1' is no number of seconds above 0."),
        ("-t 0", "-t/--timeout: '0' is no number of seconds above 0."),
        ("-t nan", "-t/--timeout: 'nan' is no number of seconds above 0."),
        ("-t inf", "-t/--timeout: 'inf' is no number of seconds above 0."),
        ("-t 1e300", "-t/--timeout: '1e300' is no number of seconds above 0."),
        ("--needs gpu_memory=16", "--needs: gpu_memory is a size above 0 with its unit"),
        (
            "--priority 11",
            "--priority: it is a whole number from -10 to 10, not 11; 0 is the usual",
        ),
        ("--priority high", "--priority: it is a whole number from -10 to 10, not 'high'"),
        ("--queue-timeout nan", "--queue-timeout: 'nan' is no number of seconds above 0."),
        ("--queue-timeout -5", "--queue-timeout: '-5' is no number of seconds above 0."),
        ("--on-disconnect cancel:nan", "--on-disconnect: 'nan' is no number of seconds above 0."),
        ("--on-disconnect cancel:-1", "--on-disconnect: '-1' is no number of seconds above 0."),
        (
            "--on-disconnect cancel:1e300",
            "--on-disconnect: '1e300' is no number of seconds above 0.",
        ),
        ("--tiemout 5", "There is no option --tiemout. Did you mean '--timeout'?"),
        ("--nonsense", "There is no option --nonsense. See %%remote? for the options."),
        ("-z", "There is no option -z."),
        ("gpu -o", "-o/--out needs a value: -o A,B."),
        ("--session", "-s/--session needs a value: -s NAME."),
        ("-q=1", "-q/--quiet takes no value."),
        ("--progress bars", "--progress: 'bars' is none of auto, html, widget, text, none."),
        ("'open", "'open: No closing quotation"),
        ("any --where cpu>=2", "where: a node has no 'cpu' to compare."),
        ("gpu --where fast", "--where chooses a node, but 'gpu' is named: write 'any'."),
        ("gpu --bg not-a-name", "--bg not-a-name: that is not the name of a variable."),
        ("--on-disconnect stay", "--on-disconnect: 'stay' is neither keep nor cancel nor"),
        ("gpu/train --fresh", "--fresh is a session without a name, but 'train' is named."),
    ],
)
def test_lines_that_are_not(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse(line)


@pytest.mark.parametrize(
    ("line", "head", "expression"),
    [
        ("f(x)", "", "f(x)"),
        ("gpu f(x)", "gpu ", "f(x)"),
        ("$where f(x)", "$where ", "f(x)"),
        ("gpu -t 5 x", "gpu -t 5 ", "x"),
        ("-t 5 gpu x - 1", "-t 5 gpu ", "x - 1"),
        ("gpu/s gpu - 1", "gpu/s ", "gpu - 1"),
        ("x - i", "", "x - i"),
        ("-q -x", "-q ", "-x"),
        ("gpu", "", "gpu"),
    ],
)
def test_the_expression_of_a_line_is_what_follows_the_options(
    line: str, head: str, expression: str
) -> None:
    assert split(line, {"gpu"}) == (head, expression)


def test_a_line_without_an_expression_is_an_error() -> None:
    with pytest.raises(UsageError, match="needs an expression"):
        split("gpu  ", {"gpu"})


def test_the_help_has_every_option_and_examples() -> None:
    for action in PARSER._actions:
        assert all(flag in HELP for flag in action.option_strings)
        assert action.help, action
    assert "y = %remote gpu-node f(x)" in HELP


def test_any_is_a_target_of_an_expression() -> None:
    line = 'any --where "gpu>=1" --dry-run f(x)'
    assert split(line, {"gpu", "any"}) == (line.removesuffix("f(x)"), "f(x)")


def test_the_panel_knows_which_options_have_a_value() -> None:
    source = (LABEXTENSION / "src" / "notebook" / "line.ts").read_text()
    listed = re.search(r"VALUED = \[(.*?)\]", source, re.DOTALL)
    assert listed is not None
    valued = [action.option_strings for action in PARSER._actions if action.nargs != 0]
    assert set(re.findall(r"'(.*?)'", listed[1])) == {name for names in valued for name in names}
