"""EasyRemote: remote compute that feels local, notebook first.

The public names; each is loaded when it is first used, so that ``import easyremote`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from easyremote import joblib_entry as _joblib_entry

__version__ = "3.0.0.dev0"

if TYPE_CHECKING:
    from easyremote.client.client import Client, connect
    from easyremote.client.job import RemoteJob
    from easyremote.client.refs import RemoteRef
    from easyremote.client.remote import remote
    from easyremote.client.run import run, run_async, session
    from easyremote.client.stream import RemoteStream
    from easyremote.config import set_default_gateway
    from easyremote.errors import (
        CallCancelled,
        CallError,
        CallLost,
        CallTimeout,
        CannotShip,
        EasyRemoteError,
        GatewayUnreachable,
        RemoteError,
    )
    from easyremote.gateway.server import Server
    from easyremote.node.compute_node import ComputeNode
    from easyremote.options.retries import RetryPolicy
    from easyremote.options.scaling import Scaling
    from easyremote.progress import progress
    from easyremote.serialize.files import file

__all__ = [
    "CallCancelled",
    "CallError",
    "CallLost",
    "CallTimeout",
    "CannotShip",
    "Client",
    "ComputeNode",
    "EasyRemoteError",
    "GatewayUnreachable",
    "RemoteError",
    "RemoteJob",
    "RemoteRef",
    "RemoteStream",
    "RetryPolicy",
    "Scaling",
    "Server",
    "connect",
    "file",
    "progress",
    "remote",
    "run",
    "run_async",
    "session",
    "set_default_gateway",
]

_HOMES = {
    "Client": "client.client",
    "connect": "client.client",
    "RemoteJob": "client.job",
    "RemoteRef": "client.refs",
    "RemoteStream": "client.stream",
    "remote": "client.remote",
    "run": "client.run",
    "run_async": "client.run",
    "session": "client.run",
    "set_default_gateway": "config",
    "Server": "gateway.server",
    "ComputeNode": "node.compute_node",
    "RetryPolicy": "options.retries",
    "Scaling": "options.scaling",
    "progress": "progress",
    "file": "serialize.files",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'easyremote' has no attribute {name!r}")
    value = getattr(import_module(f"easyremote.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext easyremote``: the magics live in the notebook package."""
    import_module("easyremote_jupyter").load_ipython_extension(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext easyremote``."""
    import_module("easyremote_jupyter").unload_ipython_extension(ipython)


_joblib_entry.register()
