"""What a local cell reads is here before it runs: modules are imported, values brought.

A cell that was typed is known before it runs. Of the names that it reads, those that a remote cell
has imported (``imports.py``) become the real thing, and values that stayed on a node are brought
(``values.py``). A function body that the cell only defines reads nothing yet.
``tests/jupyter_extension/here/test_values.py`` proves it.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from IPython.core.completer import CompletionContext, SimpleMatcherResult, context_matcher

from easyremote.client.refs import RemoteRef
from easyremote_jupyter.capture.closure import closure, evaluated
from easyremote_jupyter.capture.flow import Flow
from easyremote_jupyter.here.imports import DeferredModule, DeferredName

__all__ = ["LocalReads", "reads_now"]

#: The first name of what is completed: ``np`` in ``np.linalg.no``.
_BEFORE_DOT = re.compile(r"([^\W\d]\w*)\.(?:\w+\.)*\w*$")


class LocalReads(ast.NodeTransformer):
    """One of IPython's `ast_transformers`: sees each cell before it runs, and changes none.

    Parameters
    ----------
    space
        The notebook's namespace.
    bring
        Brings values of this namespace here, by name, as far as it can.
    """

    def __init__(
        self, space: dict[str, Any], bring: Callable[[Mapping[str, RemoteRef]], None]
    ) -> None:
        self._space = space
        self._bring = bring
        self._is_due = False

    def cell_begins(self, info: object = None) -> None:
        """A cell of the user's begins; what a front end runs silently brings nothing."""
        self._is_due = True

    def visit(self, node: ast.AST) -> Any:
        """Have what a cell reads here."""
        if self._is_due and isinstance(node, ast.Module) and self._has_any():
            self._is_due = False
            self._prepare(node)
        return node

    @context_matcher(identifier="easyremote.imports")  # type: ignore[untyped-decorator]
    def completion_begins(self, context: CompletionContext) -> SimpleMatcherResult:
        """Have the module here whose attributes are asked for: IPython looks at no deferred one."""
        found = _BEFORE_DOT.search(context.text_until_cursor)
        deferred = self._space.get(found[1]) if found else None
        if isinstance(deferred, DeferredModule | DeferredName):
            _load(deferred)
        return {"completions": []}

    def _has_any(self) -> bool:
        awaited = (DeferredModule, DeferredName, RemoteRef)
        return any(isinstance(value, awaited) for value in list(self._space.values()))

    def _prepare(self, tree: ast.Module) -> None:
        reads = reads_now(tree, self._space)
        for name in reads:
            if isinstance(module := self._space.get(name), DeferredModule):
                _load(module)
        needed = closure(reads, self._space).variables
        if texts := evaluated(ast.unparse(tree), needed.values()):
            needed = closure({*reads, *texts}, self._space).variables
        for value in needed.values():
            if isinstance(value, DeferredName):
                _load(value)
        refs = {name: value for name, value in needed.items() if isinstance(value, RemoteRef)}
        if refs:
            self._bring(refs)


def _load(deferred: DeferredModule | DeferredName) -> None:
    with contextlib.suppress(ImportError):  # the cell is told where it uses it
        deferred.load()


def reads_now(tree: ast.Module, space: Mapping[str, object]) -> set[str]:
    """The names that a cell reads when it runs, not only in functions that it defines.

    A name of a `RemoteRef` is not counted where the reference itself is used
    (``name.call("sum")``), nor where it is deleted.
    """
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    refs = {name for name, value in space.items() if isinstance(value, RemoteRef)}
    flow = Flow()
    # A copy: IPython runs the tree.
    flow.tree(_Reduced(used, refs).visit(ast.parse(ast.unparse(tree))))
    return flow.reads


class _Reduced(ast.NodeTransformer):
    """Leaves the code of a cell that reads something when the cell runs."""

    def __init__(self, used: Iterable[str], refs: Iterable[str]) -> None:
        self._used, self._refs = frozenset(used), frozenset(refs)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        # With a decorator it may be called at once.
        if node.name not in self._used and not node.decorator_list:
            node.body = [ast.Pass()]
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if node.name not in self._used:
            return self.generic_visit(node)
        # Its methods run when the cell uses it.
        kept = self._used | {each.name for each in node.body if hasattr(each, "name")}
        return _Reduced(kept, self._refs).generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> ast.AST | None:
        node.targets = [
            each
            for each in node.targets
            if not isinstance(each, ast.Name) or each.id not in self._refs
        ]
        return self.generic_visit(node) if node.targets else ast.Pass()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and self._is_ref(node.func):
            if _asks_the_ref(node):
                node.func = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "type_name" and self._is_ref(node):
            return ast.Constant(None)
        return self.generic_visit(node)

    def _is_ref(self, node: ast.Attribute) -> bool:
        return isinstance(node.value, ast.Name) and node.value.id in self._refs


def _asks_the_ref(node: ast.Call) -> bool:
    """Whether a call is one of the reference's methods, and none that the value may have."""
    match node.func:
        case ast.Attribute(attr="call"):
            return True
        case ast.Attribute(attr="get"):
            return not node.args and not node.keywords
        case ast.Attribute(attr="eval"):
            if len(node.args) != 1 or not isinstance(text := node.args[0], ast.Constant):
                return False
            with contextlib.suppress(SyntaxError, TypeError, ValueError):
                expression = ast.parse(str(text.value), mode="eval")
                return any(isinstance(n, ast.Name) and n.id == "_" for n in ast.walk(expression))
    return False
