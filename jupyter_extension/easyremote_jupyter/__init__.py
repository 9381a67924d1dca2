"""EasyRemote in Jupyter: the magics (an IPython extension) and the panel (a server extension)."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext easyremote_jupyter``: register the magics."""
    from .magics import RemoteMagics

    ipython.register_magics(RemoteMagics)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "../../labextension/dist", "dest": "easyremote"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server import EasyRemoteApp

    return [{"module": "easyremote_jupyter", "app": EasyRemoteApp}]
