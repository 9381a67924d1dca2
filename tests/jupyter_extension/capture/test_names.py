"""What `capture.names` finds in a cell, and that it is enough to run the cell."""

from __future__ import annotations

import builtins
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from easyremote_jupyter.capture.names import names

# Each: what the cell is, the names it reads, the names it writes (blank-separated).
SNIPPETS: list[tuple[str, str, str]] = [
    # assignments
    ("", "", ""),
    ("x", "x", ""),
    ("x = 1", "", "x"),
    ("x = y", "y", "x"),
    ("x = x + 1", "x", "x"),
    ("x += 1", "x", "x"),
    ("x = 1; x += y", "y", "x"),
    ("a = b = c", "c", "a b"),
    ("a, (b, *c) = d", "d", "a b c"),
    ("a = 1\nprint(a, b)", "b", "a"),
    ("a: int = b", "b", "a"),
    ("a: T", "T", ""),
    ("a: int\nprint(a)", "a", ""),
    ("print((y := x) + y)", "x", "y"),
    ("(y := 1)\ny", "", "y"),
    ("del x", "x", "x"),
    ("x = 1\ndel x", "", "x"),
    ("d[k] = v", "d k v", ""),
    ("o.a = v", "o v", ""),
    ("o.a.b += v", "o v", ""),
    ("l[i:j] = l[::k]", "l i j k", ""),
    ("first, *rest = first", "first", "first rest"),
    ("f'{x!r:>{width}} {{y}}'", "x width", ""),
    # branches
    ("if c:\n    x = 1\nprint(x)", "c x", "x"),
    ("if c:\n    x = 1\nelse:\n    x = 2\nprint(x)", "c", "x"),
    ("if c:\n    x = 1\nelif d:\n    x = 2\nprint(x)", "c d x", "x"),
    ("if c:\n    raise ValueError\nelse:\n    x = 1\nprint(x)", "c", "x"),
    ("x = 1 if c else y", "c y", "x"),
    ("c and (x := 1)\nx", "c x", "x"),
    ("(x := c) and d\nx", "c d", "x"),
    ("(x := 1) if c else (x := 2)\nx", "c", "x"),
    ("assert c, m", "c m", ""),
    ("assert c, (m := 1)\nm", "c m", "m"),
    # loops
    ("for i in s:\n    t = i", "s", "i t"),
    ("for i in s:\n    t = i\nprint(t)", "s t", "i t"),
    ("for i in i:\n    pass", "i", "i"),
    ("for a, b in s:\n    print(a, b, c)", "s c", "a b"),
    ("for i in s:\n    print(prev)\n    prev = i", "s prev", "i prev"),
    ("for i in s:\n    break\nelse:\n    e = 1\nprint(e)", "s e", "i e"),
    ("for i in s:\n    if i:\n        continue\n    t = 1\n    print(t)", "s", "i t"),
    ("for d[k] in s:\n    pass", "s d k", ""),
    ("while c:\n    c = f(c)", "c f", "c"),
    ("while (line := f()):\n    print(line)\nline", "f", "line"),
    # exceptions
    ("try:\n    x = 1\nexcept E:\n    pass\nprint(x)", "E x", "x"),
    ("try:\n    x = f()\nexcept ValueError as e:\n    print(e)\n    raise\nx", "f", "e x"),
    ("try:\n    x = 1\nexcept ValueError:\n    x = 2\nx", "", "x"),
    ("try:\n    x = 1\nfinally:\n    print(x)", "x", "x"),
    ("try:\n    pass\nfinally:\n    x = 1\nx", "", "x"),
    ("try:\n    a = 1\nexcept ValueError:\n    pass\nelse:\n    b = a\nb", "b", "a b"),
    ("try:\n    pass\nexcept* (E, F) as g:\n    print(g)", "E F", "g"),
    # with
    ("with o as f:\n    x = f.read()\nx", "o", "f x"),
    ("with a as b, b as c:\n    pass", "a", "b c"),
    ("with suppress(E):\n    x = 1\nx", "suppress E x", "x"),
    ("with contextlib.suppress(E):\n    x = 1\nx", "contextlib E x", "x"),
    ("with managed(a):\n    raise E\nb", "managed a E b", ""),
    # imports
    ("import numpy as np\nnp.zeros(n)", "n", "np"),
    ("import os.path\nos", "", "os"),
    ("from math import sqrt as r, pi\nr(pi)", "", "r pi"),
    ("from m import *\nx", "x", ""),
    # functions
    ("def f(x):\n    return x + y", "y", "f"),
    ("def f():\n    y = 1\n    return y", "", "f"),
    ("y = 1\ndef f():\n    return y", "", "y f"),
    ("def f(a=d, *, b=e) -> r:\n    return a", "d e r", "f"),
    ("def f(a: T, *b: U, **c: V): pass", "T U V", "f"),
    ("@deco(arg)\ndef f(): pass", "deco arg", "f"),
    ("def f():\n    return f()", "f", "f"),
    ("def f():\n    global n\n    n = m", "m", "f n"),
    ("def f():\n    global n\n    n += 1", "n", "f n"),
    ("def f():\n    n = 1\n    def g():\n        nonlocal n\n        n += k", "k", "f"),
    ("def f():\n    return [a for a in b if a in c]", "b c", "f"),
    ("def f():\n    class C:\n        x = x\n    return C", "x", "f"),
    ("def f():\n    x = y\n    y = 1", "", "f"),
    ("def f():\n    import m\n    return m", "", "f"),
    ("def f():\n    yield from it", "it", "f"),
    ("async def f():\n    async with s as t:\n        return [x async for x in t]", "s", "f"),
    ("f = lambda x, y=d: x + y + z", "d z", "f"),
    ("sorted(l, key=lambda e: w[e])", "l w", ""),
    ("def f():\n    return g()\ndef g():\n    return 1\nf()", "g", "f g"),
    # comprehensions
    ("[x for x in y]", "y", ""),
    ("[x for x in x]", "x", ""),
    ("{a: b for a, b in d.items() if a in k}", "d k", ""),
    ("[(a, b) for a in s for b in a if b > t]", "s t", ""),
    ("{x for x in [y for y in z]}", "z", ""),
    ("sum(x * w for x in s)", "s w", ""),
    ("x = 1\n[x for x in y]\nx", "y", "x"),
    ("[(t := t + v) for v in s]", "t s", "t"),
    ("[y for x in s if (y := x)]", "s y", "y"),
    ("[await g(x) for x in s]", "g s", ""),
    # classes
    ("class A(B, metaclass=M):\n    x = y", "B M y", "A"),
    ("class A:\n    x = 1\n    y = x", "", "A"),
    ("class A:\n    x = x", "x", "A"),
    ("class A:\n    x = 1\n    def f(self):\n        return x", "x", "A"),
    ("class A:\n    x = 1\nclass B:\n    y = x", "x", "A B"),
    ("class A:\n    def f(self):\n        return super().f() + __class__.n", "", "A"),
    ("class A:\n    x = 1\n    z = [x for _ in range(x)]", "x", "A"),
    ("class A:\n    T = int\n    def f(self, a: T) -> T: pass", "", "A"),
    ("@dataclass\nclass P:\n    x: int = 0", "dataclass", "P"),
    # match
    ("match v:\n    case [a, *b]:\n        print(a)\n    case {'k': c, **d}:\n        print(d)",
     "v", "a b c d"),
    ("match v:\n    case P(x=a) | Q(a): pass\n    case E.F: pass", "v P Q E", "a"),
    ("match v:\n    case 1:\n        x = 1\n    case _:\n        x = 2\nx", "v", "x"),
    ("match v:\n    case 1:\n        x = 1\nx", "v x", "x"),
    ("match v:\n    case a if a > b:\n        x = 1\nx", "v b x", "a x"),
    # await
    ("x = await f(y)", "f y", "x"),
    ("async for i in s:\n    t = i", "s", "i t"),
    # builtins and history
    ("print(len(x), __name__)", "x", ""),
    ("_ + Out[1] + _3 + __", "", ""),
    ("for _ in range(n): pass", "n", ""),
    ("list = list(x)", "x", "list"),
    ("get_ipython()", "", ""),
    # magics and commands
    ("!ls {path} $name $$HOME", "path name", ""),
    ("!echo {a + b[c]} {d!r:>10}", "a b c d", ""),
    ("!awk '{print $1}' {path}", "path", ""),
    ("files = !ls $where", "where", "files"),
    ("%cd {path}", "path", ""),
    ("%timeit f(x)", "f x", ""),
    ("%timeit -n 10 -r3 y = f(x)", "f x", ""),
    ("%time y = f(x)", "f x", "y"),
    ("%matplotlib inline", "", ""),
    ("x?", "x", ""),
    ("%%time\ny = f(x)", "f x", "y"),
    ("%%timeit a = f()\na + b", "f b", ""),
    ("%%capture out\nprint(x)", "x", "out"),
    ("%%bash\necho $HOME {x}", "", ""),
    ("df.query('a > @limit and b in @seen')", "df limit seen", ""),
    # and more of each
    # nested f-strings, walrus, star imports
    ("f'{a:{b}.{c}} {d[k]!r} {f\"{e}\"}'", "a b c d k e", ""),
    ("f'{(n := x)}' + n", "x", "n"),
    ("f'{[y for y in z]}'", "z", ""),
    ("f'{lambda_}' f'{d[\"k\"]}'", "lambda_ d", ""),
    ("while chunk := read(size):\n    total += chunk", "read size total", "chunk total"),
    ("[last := v for v in s]\nlast", "s last", "last"),
    ("any((hit := v) > limit for v in s) and print(hit)", "s limit hit", "hit"),
    ("from math import *\nsqrt(x)", "sqrt x", ""),
    ("import a.b as c, d.e\nc, d", "", "c d"),
    # functions
    ("def f(*a, k=lambda: dflt, **kw): return a, kw, k", "dflt", "f"),
    ("def f(x=y, /, z=x): return z", "y x", "f"),
    ("def f():\n    v = 1\n    def g():\n        nonlocal v\n        v = w\n    return g",
     "w", "f"),
    ("def f():\n    global made\n    made = 1\nf()\nmade", "made", "f made"),
    ("def f():\n    del g", "", "f"),
    ("def f():\n    global g\n    del g", "g", "f g"),
    ("async def f():\n    async for x in s: await g(x)\n    return [y async for y in x]",
     "s g", "f"),
    ("await gather(*(f(x) for x in xs))", "gather f xs", ""),
    ("async with a as b, c() as d:\n    e = await b", "a c", "b d e"),
    ("def f():\n    try:\n        return x\n    except E as e:\n        return e", "x E", "f"),
    ("f = lambda *a, **k: (a, k, g)", "g", "f"),
    ("f = lambda x: (lambda y: x + y + z)", "z", "f"),
    ("@a.b(c)\n@d\ndef f(): pass", "a c d", "f"),
    ("@(lambda g: h)\ndef f(): pass", "h", "f"),
    ("def gen():\n    x = yield v\n    yield from w", "v w", "gen"),
    ("def f(): return locals(), globals(), __name__", "", "f"),
    # classes
    ("class A:\n    def f(self): return A", "A", "A"),
    ("class A:\n    b = c\n    class D:\n        e = b", "c b", "A"),
    ("class A:\n    n = 0\n    for n in range(k): pass", "k", "A"),
    ("class A:\n    global g\n    g = 1", "", "A g"),
    ("@d\nclass A(B[T], metaclass=M, flag=v): pass", "d B T M v", "A"),
    ("class A:\n    @d\n    def p(self): return q\n    @p.setter\n    def p(self): r(q)",
     "d q r", "A"),
    ("class P(NamedTuple):\n    x: int = dflt", "NamedTuple dflt", "P"),
    ("class A:\n    x: T = None", "T", "A"),
    # match
    ("match v:\n    case {'a': A.b, **rest}: rest\n    case [1, *_]: pass", "v A", "rest"),
    ("match v:\n    case (int(x) | str(x)) as y: x, y", "v", "x y"),
    ("match a, b:\n    case x, y if x > z: pass", "a b z", "x y"),
    ("match v:\n    case Point(x=0, y=yy): yy\n    case _: other", "v Point other", "yy"),
    # try, with, loops
    ("try: f()\nexcept (A, B) as e: x = e\nelse: x = 1\nfinally: g()\nx", "f A B g", "e x"),
    ("try:\n    import fast as m\nexcept ImportError:\n    m = slow\nm", "slow", "m"),
    ("with open(p) as f, lock:\n    data = f.read()\ndata", "p lock", "f data"),
    ("with (a as b, c as (d, e)):\n    pass\nb, d, e", "a c", "b d e"),
    ("with a as b.c, d as e[k]:\n    pass", "a b d e k", ""),
    ("while True:\n    x = f()\n    if x: break\nx", "f x", "x"),
    ("for x in s: pass\nelse: y = 1\ny", "s y", "x y"),
    ("for i, (a, *b) in enumerate(s): c = a, b", "s", "i a b c"),
    ("for x.attr in s: pass", "x s", ""),
    # augmented assignment, del, targets
    ("a.b += c", "a c", ""),
    ("a[i] -= b[j]", "a i b j", ""),
    ("x = y = 0\nx += y", "", "x y"),
    ("del a, b[c], d.e", "a b c d", "a"),
    ("del x\nx = 1", "x", "x"),
    ("(a, b), c[k] = d", "c k d", "a b"),
    ("[*a, b] = c", "c", "a b"),
    ("x: list[T] = []", "T", "x"),
    ("print(*args, **kwargs)", "args kwargs", ""),
    ("{**a, b: c, **d}", "a b c d", ""),
    ("a if b else c", "a b c", ""),
    ("a < b < c or not d", "a b c d", ""),
    ("x[a:b, ..., ::c]", "x a b c", ""),
    # comprehensions
    ("[[c for c in r if c != k] for r in rows]", "rows k", ""),
    ("{k: v for d in ds for k, v in d.items()}", "ds", ""),
    ("[x for x in xs if (y := f(x))]\ny", "xs f y", "y"),
    ("list(map(lambda r: r[key], rows))", "rows key", ""),
    ("[i for i in range(n)][i]", "n i", ""),
    ("gen = (x async for x in s)", "s", "gen"),
    # history, builtins, shadows
    ("In[-1], Out[n], _, __, ___, _i, _ii, _5", "n", ""),
    ("_x + __y", "_x __y", ""),
    ("print = f\nprint(x)", "f x", "print"),
    ("open(path); display(df); exit", "path df", ""),
    ("Exception, NotImplemented, __debug__, Ellipsis", "", ""),
    # magics and commands
    ("!cp {src}/{name!s} $dst", "src name dst", ""),
    ("!echo $$PID {1 + 2}", "", ""),
    ("out = !grep {pattern} $file\nlen(out)", "pattern file", "out"),
    ("x = %sql select {column}", "column", "x"),
    ("!!ls {where}", "where", ""),
    ("%env KEY={value}", "value", ""),
    ("%%time\nfor i in s:\n    t += i", "s t", "i t"),
    ("%%timeit -n 5\nf(x)", "f x", ""),
    ("%%capture --no-stderr\ny = f()", "f", "y"),
    ("%prun -l 5 f(x)", "f x", ""),
    ("%time", "", ""),
    ("obj.attr?", "obj", ""),
    ("!cmd &", "", ""),
    ("%%writefile {path}\nnot python {x}", "path", ""),
    ("%%javascript\nvar x = {y};", "", ""),
    ("if c:\n    !echo {a}\n    b = !ls {d}", "c a d", "b"),
    ("df.eval('a + @b').query(f'c > {d}')", "df b d", ""),
    ("# only a comment", "", ""),
    ("'a text {x} $y'", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "reads", "writes"), SNIPPETS)
def test_names_of_a_cell(cell: str, reads: str, writes: str) -> None:
    found = names(cell)
    assert found.reads == set(reads.split())
    assert found.writes == set(writes.split())


def test_there_are_enough_snippets() -> None:
    assert len({cell for cell, *_ in SNIPPETS}) >= 150


def test_names_changed_in_place_are_told_apart() -> None:
    found = names("df['c'] = 1\no.a.b += 1\ndel d[0]\n(t[0], *u.x) = v\nnew = []\nnew[:] = [1]")
    assert found.mutates == {"df", "o", "d", "t", "u"}
    assert found.writes == {"new"}


def test_a_name_that_the_cell_may_assign_itself_is_optional() -> None:
    found = names(
        "for i in s:\n    t = i\nprint(t)\nx += 1\ndef f(): return g()\ndef g(): return 1"
    )
    assert found.reads == {"s", "t", "x", "g"}
    assert found.optional == {"t", "g"}


def test_a_shadowed_builtin_counts_as_a_name() -> None:
    assert names("print(id, list)", shadowed={"id"}).reads == {"id"}


def test_a_cell_that_is_no_python_is_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        names("x = = 1")


class _Stub:
    """Stands for any value: can be called, iterated once over, entered, indexed and added."""

    def __init__(self, *args: object, **kwargs: object) -> None: ...
    def __call__(self, *args: object, **kwargs: object) -> _Stub:
        return self

    def __getattr__(self, name: str) -> _Stub:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __bool__(self) -> bool:
        self.asked = self.__dict__.get("asked", 0) + 1
        return self.asked % 3 != 0  # so that a `while` ends

    def __iter__(self) -> Any:
        return iter([1, 2])

    def __getitem__(self, key: object) -> _Stub:
        return self

    def __enter__(self) -> _Stub:
        return self

    def __exit__(self, *exc: object) -> None: ...
    def __add__(self, other: object) -> _Stub:
        return self

    __setitem__ = __delitem__ = __radd__ = __add__ = __mul__ = __rmul__ = __gt__ = __lt__ = __add__


def _runs_without_a_shell(cell: str) -> bool:
    source = TransformerManager().transform_cell(cell)
    return "get_ipython" not in source and "await" not in source and "async for i" not in source


@pytest.mark.parametrize("cell", [c for c, *_ in SNIPPETS if _runs_without_a_shell(c)])
def test_a_cell_runs_with_exactly_the_names_that_were_found(
    cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    history = ("_", "__", "___", "_i", "_ii", "_3", "_5", "In", "Out")
    space: dict[str, object] = {name: _Stub() for name in (*names(cell).reads, *history)}
    with suppress(TypeError, AttributeError, ValueError, ImportError, AssertionError):
        exec(compile(cell, "<cell>", "exec"), space)


# -- any program: what fails for want of a name with the found names fails with all names too

NAMES = "abcde"
name = st.sampled_from(NAMES)


def _block(lines: list[str]) -> str:
    return "\n".join("    " + line for text in lines for line in text.split("\n"))


def _compound(body: st.SearchStrategy[list[str]]) -> st.SearchStrategy[str]:
    bit = st.sampled_from("01")
    return st.one_of(
        st.builds(lambda c, x, y: f"if {c}:\n{_block(x)}\nelse:\n{_block(y)}", bit, body, body),
        st.builds(lambda c, x: f"if {c}:\n{_block(x)}", bit, body),
        st.builds(lambda n, c, x: f"for {n} in range({c}):\n{_block(x)}", name, bit, body),
        st.builds(
            lambda n, x, y: f"for {n} in range(2):\n{_block(x)}\n    break\nelse:\n{_block(y)}",
            name, body, body,
        ),
        st.builds(
            lambda x, n, y, z: f"try:\n{_block(x)}\nexcept ValueError as {n}:\n{_block(y)}"
            f"\nfinally:\n{_block(z)}",
            body, name, body, body,
        ),
        st.builds(lambda x: f"with suppress(ValueError):\n{_block(x)}", body),
        st.builds(lambda n, p, x, m: f"def {n}({p}=1):\n{_block(x)}\n    return {m}",
                  name, name, body, name),
        st.builds(lambda n, g, x: f"def {n}():\n    global {g}\n{_block(x)}", name, name, body),
        st.builds(lambda n, x: f"class {n}:\n{_block(x)}", name, body),
        st.builds(lambda n, g, x: f"class {n}:\n    global {g}\n{_block(x)}", name, name, body),
        st.builds(lambda m, n, x: f"@(lambda _: {m})\ndef {n}():\n{_block(x)}", name, name, body),
        st.builds(lambda n, m, x: f"async def {n}({m}=1):\n{_block(x)}", name, name, body),
        st.builds(lambda v, n, x, y: f"match {v}:\n    case 1:\n{_block([_block(x)])[4:]}"
                  f"\n    case {n}:\n{_block([_block(y)])[4:]}", name, name, body, body),
    )  # fmt: skip


_SIMPLE = st.one_of(
    *(
        st.builds(template.format, name, name, name)
        for template in (
            "{0} = {1}", "{0} += 1", "{0} = [{1} for {1} in [{2}]]", "({0} := {1})", "del {0}",
            "1 and ({0} := {1})", "[({0} := {1}) for {2} in [1, 2]]", "{0}", "raise ValueError",
            "{0} = lambda {1}: {2}", "call({0})", "{0} = [lambda: {1}]", "import math as {0}",
            "{0} = {1} if 0 else {2}", "{0}, *{1} = [{2}, 1]", "{0}: {1} = {2}",
            "f'{{{0}!r:>{{{1}}}}}'", "{0} = lambda {1}={2}: {1}", "{0} = [lambda {1}={2}: {0}]",
            "[{0} for {0} in [{1}] for {1} in [{2}]]", "[[{0} for {1} in [{2}]] for {0} in [1]]",
            "{{**{{}}, 'k': {0}}}", "call(lambda: ({0}, [{1} for {1} in [{2}]]))",
        )
    )
)  # fmt: skip
_PROGRAM = st.lists(
    st.recursive(
        _SIMPLE, lambda inner: _compound(st.lists(inner, min_size=1, max_size=3)), max_leaves=8
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


def _call(value: object) -> object:
    return value() if callable(value) else value


def _outcome(source: str, given: dict[str, object]) -> str:
    try:
        exec(compile(source, "<cell>", "exec"), given | {"suppress": suppress, "call": _call})
    except Exception as error:
        return type(error).__name__
    return "done"


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@settings(max_examples=600, deadline=None)
@given(_PROGRAM)
def test_the_names_that_were_found_are_enough(lines: list[str]) -> None:
    source = "\n".join(lines)
    try:
        compile(source, "<cell>", "exec")
    except SyntaxError:  # a parameter that is declared global too
        return
    found = names(source)
    everything: dict[str, object] = dict.fromkeys(NAMES, 1)
    exactly = {n: 1 for n in NAMES if n in found.reads}
    assert _outcome(source, dict(exactly)) == _outcome(source, everything)


def test_builtins_are_not_asked_for() -> None:
    assert names("\n".join(n for n in dir(builtins) if n[0].islower())).reads == set()
