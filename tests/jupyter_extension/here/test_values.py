"""A value that stayed on a node is brought when a local cell reads it; else its reference says why.

What is brought, and what only a reference's own use leaves there.
"""

from __future__ import annotations

import ast
import re

import pytest

from easyremote.client.refs import RemoteRef
from easyremote_jupyter.here import values as values_module
from easyremote_jupyter.here.reads import reads_now
from tests.jupyter_extension.here.conftest import Notebook

LARGE = "%%R\nlarge = bytes(20_000_000)\nother = [1] * 10_000_000"


def test_a_value_is_brought_when_a_cell_reads_it(notebook: Notebook) -> None:
    notebook.run(LARGE)
    assert isinstance(notebook["large"], RemoteRef)
    ran = notebook.run("len(large), large[:2] + b'x'")
    assert ran.value == (20_000_000, b"\0\0x")
    assert "large from gpu-node" in ran.stdout + ran.stderr
    assert isinstance(notebook["other"], RemoteRef)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("def f(): return len(large)\nf()", 20_000_000),
        ("[len(x) for x in [large]]", [20_000_000]),
        ("%time len(large)", 20_000_000),
        ("(lambda: large[0])()", 0),
        ("x = large; len(x)", 20_000_000),
        ("f'{large[0]}'", "0"),
        ("type(large).__name__", "bytes"),
        ("{large}.pop()[:1]", b"\0"),
    ],
)
def test_it_is_brought_wherever_a_cell_reads_it(
    notebook: Notebook, code: str, value: object
) -> None:
    notebook.run("%%R\nlarge = bytes(20_000_000)")
    assert notebook.run(code).value == value


def test_a_function_that_was_defined_before_reads_it_too(notebook: Notebook) -> None:
    notebook.run("def inner(): return len(large)\ndef outer(): return inner()")
    notebook.run("%%R\nlarge = bytes(20_000_000)")
    assert notebook.run("outer()").value == 20_000_000


@pytest.mark.parametrize(
    "code",
    [
        "1 + 1",
        "def f(): return large",
        "large.call('__len__')",
        "large.eval('len(_)')",
        "large.type_name",
        "large = 3",
        "del large",
        "size = %remote gpu-node len('abc')",
    ],
)
def test_it_stays_where_no_cell_reads_it(notebook: Notebook, code: str) -> None:
    notebook.run("%%R\nlarge = bytes(20_000_000)")
    ref = notebook["large"]
    assert "large from" not in notebook.run(code).stderr
    assert isinstance(ref, RemoteRef)
    assert notebook.shell.user_ns.get("large") in (ref, 3, None)


def test_what_was_brought_is_not_sent_back(notebook: Notebook) -> None:
    notebook.run("%%R\nlarge = bytes(20_000_000)\nfirst = large")
    notebook.run("large[0]")
    ran = notebook.run("%%R\nlarge is first")
    assert (ran.value, ran.stderr) == (True, "")


def test_above_the_limit_a_line_says_how(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values_module, "BROUGHT_MAX", 30_000_000)
    notebook.run("%%R\nlarge = bytes(20_000_000)\nmore = bytes(20_000_001)")
    ran = notebook.run("large[0], more[0]", fails=True)
    assert isinstance(notebook["large"], bytes)
    assert (
        "more (bytes, 20.0 MB) stays on gpu-node: more.get() brings it here, more.eval('...') "
        "computes there what _ stands for" in ran.stderr
    )
    assert str(ran.error) == (
        "more: more (bytes) is on gpu-node (20.0 MB), not here: .get() brings it here, or use it "
        "in a cell there, or by more.eval('...'), where _ is the value"
    )


def test_a_value_whose_session_has_ended_is_told_of(notebook: Notebook) -> None:
    notebook.run("%%R\nlarge = bytes(20_000_000)")
    notebook.run(f"%remote_restart {notebook.target}")
    ran = notebook.run("large", fails=False)
    assert "large stays on gpu-node: The session on gpu-node has ended" in ran.stderr


@pytest.mark.parametrize(
    "use",
    [
        *("ref + 1", "1 + ref", "-ref", "ref < 1", "not ref", "len(ref)", "list(ref)"),
        *("[x for x in ref]", "ref[0]", "ref(1)", "1 in ref", "float(ref)", "next(ref)"),
        *("ref @ ref", "range(5)[ref]", "ref & 1", "max(ref)", "sum(ref)", "dict(ref)"),
    ],
)
def test_a_reference_that_meets_an_operator_says_what_to_do(notebook: Notebook, use: str) -> None:
    notebook.run("%%R\nnumbers = (i for i in range(3))")
    space = {"ref": notebook["numbers"]}
    with pytest.raises(TypeError, match=r"numbers \(generator\) is on gpu-node and can't travel"):
        eval(use, space)


def test_an_attribute_of_the_value_says_what_to_do(notebook: Notebook) -> None:
    notebook.run("%%R\nfile = open('/dev/null')")
    ran = notebook.run("file.read()", fails=True)
    assert isinstance(ran.error, AttributeError)
    assert str(ran.error) == (
        "file.read: file (TextIOWrapper) is on gpu-node and can't travel: use it in a cell there, "
        "or by file.call(...)"
    )
    assert notebook.run("hasattr(file, 'shape'), file.call('read')").value == (False, "")


MATCHES = [
    "re.match('(a)(b)?', 'ac')",
    "re.search('b+', 'aabbb')",
    "re.fullmatch('a|ab', 'ab')",
    "list(re.finditer('[ab]', 'xaxb'))[1]",
    "re.compile('b').search('abab', 2, 4)",
    "re.search(b'b', b'ab')",
    "re.search('(?P<year>[0-9]+)', 'in 1999')",
    "[m for m in [re.search('x*', 'axx')]][0]",
]


@pytest.mark.parametrize("made", MATCHES)
def test_a_match_travels(notebook: Notebook, made: str) -> None:
    here = eval(made, {"re": re})
    notebook.run(f"%%R\nimport re\nfound = {made}")
    found = notebook["found"]
    assert type(found) is re.Match

    def facts(match: re.Match[str]) -> list[object]:
        return [match.regs, match.groups(), match.groupdict(), match.string, match.re] + [
            *(match.pos, match.endpos, match.lastgroup, match.lastindex)
        ]

    assert facts(found) == facts(here)
    assert notebook.run("%%R\nfound.group()").value == here.group()


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("a + b.c", "a b"),
        ("def f(): return a", ""),
        ("def f(): return a\nf()", "a"),
        ("def f(x=a): return b", "a"),
        ("@deco\ndef f(): return a", "a deco"),
        ("class A:\n    x = a\n    def m(self): return b", "a"),
        ("class A:\n    def m(self): return b\nA().m()", "b"),
        ("a = 1\na", ""),
        ("del ref", ""),
        ("ref.get()", ""),
        ("ref.get('key')", "ref"),
        ("ref.call('sum')", ""),
        ("ref.eval('_ + 1')", ""),
        ("ref.eval('a + b')", "ref"),
        ("ref.eval()", "ref"),
        ("ref.size", "ref"),
        ("other.get()", "other"),
        ("print(ref.call(len), ref)", "print ref len"),
        ("async def f():\n    await a\nawait f()", "a"),
    ],
)
def test_what_a_cell_reads_when_it_runs(code: str, reads: str) -> None:
    ref = RemoteRef.__new__(RemoteRef)
    assert reads_now(ast.parse(code), {"ref": ref}) == set(reads.split())
