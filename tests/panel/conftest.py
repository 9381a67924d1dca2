"""The processes that the Jupyter server's tests use, too."""

from __future__ import annotations

from tests.jupyter_extension.server.conftest import cells, cells_home, home

__all__ = ["cells", "cells_home", "home"]
