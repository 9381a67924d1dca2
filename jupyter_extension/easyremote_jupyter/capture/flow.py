"""Follows a cell in order of execution: which names it reads, binds and changes on which path.

``names.py`` starts it. ``tests/jupyter_extension/capture/test_names.py`` proves it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count

from easyremote_jupyter.capture.embedded import (
    CODE_CELL_MAGICS,
    CODE_LINE_MAGICS,
    expressions,
    without_options,
)
from easyremote_jupyter.capture.parsed import parsed
from easyremote_jupyter.capture.scopes import globals_inside

__all__ = ["Flow"]

_AT_NAME = re.compile(r"@([^\W\d]\w*)")
#: Context managers that swallow errors: nobody knows how far their body came.
_SWALLOWING = frozenset({"AsyncExitStack", "ExitStack", "assertRaises", "raises", "suppress"})

#: The names that are surely bound, each with its scope; None for code that never runs.
_State = frozenset[tuple[int, str]] | None


def _meet(states: Iterable[_State]) -> _State:
    reached = [state for state in states if state is not None]
    return frozenset.intersection(*reached) if reached else None


class Flow(ast.NodeVisitor):
    """Follows the top level of a cell in order of execution.

    A name once bound stays in the state even after ``del``: reading it then fails, whatever was
    sent. So the state before a loop or a ``try`` is always a safe answer for after it.
    """

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.mutates: set[str] = set()
        #: Those of `reads` that were read while nothing in the cell could have bound them.
        self.needed: set[str] = set()
        #: Names that ``with`` binds: of use inside their block.
        self.blocks: set[str] = set()
        #: Module, attribute ("" for the module itself, "*" for all) and name that is bound to it.
        self.imports: list[tuple[str, str, str]] = []
        self._state: _State = frozenset()
        #: 0 is the module; each class body (and each set of type parameters) has a number.
        self._scope = 0
        self._scopes = count(1)
        #: What a class body declares ``global``.
        self._declared: frozenset[str] = frozenset()

    def code(self, source: str) -> None:
        """Follow a cell, as it was typed."""
        self.tree(parsed(source))

    def tree(self, tree: ast.Module) -> None:
        """Follow a cell, as IPython has read it."""
        self._all(tree.body)

    # -- what happens to a name

    def _read(self, name: str) -> None:
        if self._is_bound(name):
            return
        self.reads.add(name)
        if name not in self.writes:
            self.needed.add(name)

    def _is_bound(self, name: str) -> bool:
        return self._state is None or bool(self._state & {(0, name), (self._scope, name)})

    def _bind(self, name: str) -> None:
        scope = 0 if name in self._declared else self._scope
        if scope == 0:
            self.writes.add(name)
        if self._state is not None:
            self._state |= {(scope, name)}

    def _mutate(self, target: ast.expr) -> None:
        while isinstance(target, (ast.Attribute, ast.Subscript, ast.Starred)):
            target = target.value
        if isinstance(target, ast.Name):
            self.mutates.add(target.id)

    # -- paths

    def _all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _either(self, *paths: Callable[[], None]) -> None:
        start, ends = self._state, []
        for path in paths:
            self._state = start
            path()
            ends.append(self._state)
        self._state = _meet(ends)

    def _perhaps(self, *nodes: ast.AST | None) -> None:
        self._either(lambda: self._all(nodes), lambda: None)

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        self.visit(node.test)
        body, orelse = (
            (node.body, node.orelse) if isinstance(node, ast.If) else ([node.body], [node.orelse])
        )
        self._either(lambda: self._all(body), lambda: self._all(orelse))

    visit_IfExp = visit_If

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        self._perhaps(*node.values[1:])

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)
        self._perhaps(node.msg)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._perhaps(node.target, *node.body)
        self._perhaps(*node.orelse)  # a break skips it

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._perhaps(*node.body)
        self._perhaps(*node.orelse)

    def _leave(self, node: ast.AST) -> None:
        self.generic_visit(node)
        self._state = None

    visit_Raise = visit_Break = visit_Continue = visit_Return = _leave

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        start = self._state
        self._all([*node.body, *node.orelse])
        ends = [self._state]
        for handler in node.handlers:
            self._state = start
            self._all([handler.type])
            if handler.name:
                self._bind(handler.name)
            self._all(handler.body)
            ends.append(self._state)
        self._state = start
        self._all(node.finalbody)
        after = _meet(ends)
        self._state = None if after is None or self._state is None else after | self._state

    visit_TryStar = visit_Try

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        self._all(node.items)
        self.blocks |= {
            item.optional_vars.id for item in node.items if isinstance(item.optional_vars, ast.Name)
        }
        start = self._state
        if any(_last_name(item.context_expr) in _SWALLOWING for item in node.items):
            self._perhaps(*node.body)
        else:
            self._all(node.body)
        if self._state is None:  # of a body that raises at its end: any manager may swallow that
            self._state = start

    visit_AsyncWith = visit_With

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        last = node.cases[-1]
        always = isinstance(last.pattern, ast.MatchAs) and not (last.pattern.pattern or last.guard)
        paths = [partial(self.visit, case) for case in node.cases]
        self._either(*paths, *([] if always else [lambda: None]))

    # -- what binds

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        else:
            self._read(node.id)
        if isinstance(node.ctx, ast.Del):
            self.writes.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._all([node.value, *node.targets])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self._all([node.value, node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._all([node.value, node.annotation])
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._all([node.value, node.target])

    def visit_Attribute(self, node: ast.Attribute | ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._mutate(node)
        self.generic_visit(node)

    visit_Subscript = visit_Attribute

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        self.generic_visit(node)
        if name := node.rest if isinstance(node, ast.MatchMapping) else node.name:
            self._bind(name)

    visit_MatchStar = visit_MatchMapping = visit_MatchAs

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(alias.name, "", alias.asname or alias.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._import(node.module or "", alias.name, alias.asname or alias.name)

    def _import(self, module: str, attribute: str, name: str) -> None:
        if self._scope == 0:
            self.imports.append((module, attribute, name))
        if attribute != "*":
            self._bind(name)

    # -- scopes of their own

    def _own_scope(self, body: Callable[[], None]) -> None:
        outer, self._scope = (self._scope, self._declared), next(self._scopes)
        self._declared = frozenset()
        body()
        self._scope, self._declared = outer

    def visit_Global(self, node: ast.Global) -> None:
        self._declared |= set(node.names)

    def _later(self, node: ast.stmt) -> None:
        """Count what the scopes inside `node` use of the module's names."""
        read, written = globals_inside(node)
        self.writes |= written
        outer, self._scope = self._scope, 0  # a method doesn't see the names of its class
        self.reads |= {name for name in read if not self._is_bound(name)}
        self._scope = outer

    def _type_parameters(self, node: ast.AST) -> None:
        for parameter in getattr(node, "type_params", ()):  # Python 3.12
            self._bind(parameter.name)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._all([*node.decorator_list, *node.args.defaults, *node.args.kw_defaults])

        def annotations() -> None:
            self._type_parameters(node)
            self._all(a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg))
            self._all([node.returns])

        if getattr(node, "type_params", ()):
            self._own_scope(annotations)
        else:
            annotations()
        self._later(node)
        self._bind(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._all([*node.args.defaults, *node.args.kw_defaults])
        self._later(ast.Expr(node))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._all(node.decorator_list)

        def body() -> None:
            self._type_parameters(node)
            self._all([*node.bases, *node.keywords, *node.body])

        self._own_scope(body)
        self._bind(node.name)

    def visit_TypeAlias(self, node: ast.stmt) -> None:  # Python 3.12
        self._later(node)
        self.visit(node.name)  # type: ignore[attr-defined]  # ast.TypeAlias isn't in 3.11

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        self.visit(node.generators[0].iter)
        # An async wrapper, because the comprehension may hold an await.
        wrapper = ast.parse("async def _(): return None").body[0]
        assert isinstance(wrapper, ast.AsyncFunctionDef)
        wrapper.body = [ast.Return(node)]
        self._later(wrapper)
        inside = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        walrus = {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
        self.writes |= walrus  # a walrus in a comprehension binds the name of the module
        for name in inside:
            if name.id in walrus and isinstance(name.ctx, ast.Load):
                self._read(name.id)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # -- strings that are code

    def visit_Call(self, node: ast.Call) -> None:
        constants = [a.value for a in node.args if isinstance(a, ast.Constant)]
        texts = [text for text in constants if isinstance(text, str)]
        if isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            if called.startswith("get_ipython()."):
                return self._magic(node.func.attr, *texts)
            if node.func.attr in {"query", "eval"}:  # pandas looks up "@name" in the caller
                for name in _AT_NAME.findall(" ".join(texts)):
                    self._read(name)
        self.generic_visit(node)

    def _magic(self, method: str, *texts: str) -> None:
        if method in {"system", "getoutput", "getoutputs"}:
            self._expand(*texts)
        elif method == "run_line_magic":
            name, line = texts[:2]
            self._expand(line)
            if name in CODE_LINE_MAGICS:
                self._timed(name, without_options(line))
            elif name in {"pinfo", "pinfo2"}:
                self._read(line.partition(".")[0].strip())
        elif method == "run_cell_magic":
            name, line, body = texts[:3]
            self._expand(line)
            if name == "capture":
                for output in [word for word in line.split() if word.isidentifier()]:
                    self._bind(output)
            if name in CODE_CELL_MAGICS:
                setup = without_options(line) if name == "timeit" else ""
                self._timed(name, f"{setup}\n{body}")

    def _timed(self, name: str, source: str) -> None:
        state, writes = self._state, set(self.writes)
        self.code(source)
        if name == "timeit":  # it runs in a function of its own and binds nothing here
            self._state, self.writes = state, writes

    def _expand(self, *texts: str) -> None:
        for text in texts:
            self._all(expressions(text))


def _last_name(node: ast.expr) -> str:
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
