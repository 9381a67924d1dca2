"""A cell as a tree: read as IPython would read it, once for all who look at it.

``tests/jupyter_extension/capture/test_names.py`` proves it.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

__all__ = ["parsed"]


@lru_cache(maxsize=16)
def parsed(cell: str) -> ast.Module:
    """The tree of a cell as typed in a notebook, magics included; nobody may change it.

    Raises
    ------
    SyntaxError, ValueError
        IPython's own transformation of the cell isn't Python.
    """
    transformer: Any = TransformerManager  # it has no types
    source: str = transformer().transform_cell(cell)
    return ast.parse(source)
