"""Which names of the module the scopes inside a statement use: functions, lambdas, comprehensions.

`symtable` is the compiler's own answer. ``tests/jupyter_extension/capture/test_names.py`` proves
it.
"""

from __future__ import annotations

import ast
import symtable

__all__ = ["globals_inside"]


def globals_inside(node: ast.stmt) -> tuple[set[str], set[str]]:
    """The module's names that the scopes nested in `node` read, and those that they bind."""
    source = ast.unparse(ast.fix_missing_locations(ast.Module([node], [])))
    tables = symtable.symtable(source, "<cell>", "exec").get_children()
    read: set[str] = set()
    written: set[str] = set()
    # symtable doesn't count `x += 1` and `del x` as uses of x.
    augmented = {n.target for n in ast.walk(node) if isinstance(n, ast.AugAssign)}
    used_names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    changed = {n.id for n in used_names if n in augmented or isinstance(n.ctx, ast.Del)}
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            in_class = str(table.get_type()).endswith("class") and symbol.is_local()
            # A class body reads the module's x in `x = x`, although x is local to it.
            used = symbol.is_referenced() or symbol.get_name() in changed
            if used and (symbol.is_global() or in_class):
                read.add(symbol.get_name())
            if symbol.is_assigned() and symbol.is_global():
                written.add(symbol.get_name())
    return read, written
