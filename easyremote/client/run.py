"""``easyremote.run`` and ``easyremote.session``: what ``%%remote`` does, in plain Python.

What the code prints is printed here while it runs. ``tests/client/test_run.py`` proves it with
real processes.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from typing import Any, overload

from easyremote.client.client import Client, connect
from easyremote.client.remote_session import RemoteSession, StrPath
from easyremote.client.session import Session
from easyremote.client.targets import (
    ANY,
    NODE_VARIABLE,
    conditions_of,
    find_any,
    find_node,
    parse_where,
)
from easyremote.errors import UsageError
from easyremote.options.requirements import Needs, Requirements, read_needs

__all__ = ["run", "run_async", "session"]


@overload
def run(
    code: str,
    on: str = ...,
    *,
    out: None = ...,
    timeout: float | None = ...,
    needs: Needs | None = ...,
    priority: int = ...,
    files: Sequence[StrPath] = ...,
    **variables: Any,
) -> Any: ...


@overload
def run(
    code: str,
    on: str = ...,
    *,
    out: Sequence[str],
    timeout: float | None = ...,
    needs: Needs | None = ...,
    priority: int = ...,
    files: Sequence[StrPath] = ...,
    **variables: Any,
) -> dict[str, Any]: ...


def run(
    code: str,
    on: str = "",
    *,
    out: Sequence[str] | None = None,
    timeout: float | None = None,
    needs: Needs | None = None,
    priority: int = 0,
    files: Sequence[StrPath] = (),
    **variables: Any,
) -> Any:
    """Run code on a node, and wait for it.

    It runs in the session of this process on that node, which keeps the variables for the next
    `run`. `session` makes a new session.

    Parameters
    ----------
    code
        Source, as in a notebook's cell: magics, ``!commands`` and top-level ``await`` work.
    on
        The node, ``node/session``, or ``any``; empty for the node in ``EASYREMOTE_NODE``, else for
        the only node online.
    out
        Names of variables to bring back, however large they are.
    timeout
        Seconds that it may run; None for no limit.
    needs
        What it needs of the machine, and holds while it runs; it waits until that is free. As
        ``%%remote --needs``, or a dict: ``{"gpu_memory": "16GB", "cpu": 2}``.
    priority
        What has a higher one goes first, whoever's it is; above 0 only for keys that may.
    files
        Paths of files to send; the code finds them under the same paths.
    **variables
        Variables to set before the code runs.

    Returns
    -------
    object or dict
        The value of the last expression (a `RemoteRef` where it is large); with `out` a dict of the
        variables by name.

    Raises
    ------
    RemoteError
        The code raised.
    UsageError
        No node fits `on`, or more than one does; or `timeout` is no time, or `needs` or
        `priority` is wrong.
    NotFound
        The node can never give what is needed.
    CannotShip
        A variable can't travel; the message names it.

    Examples
    --------
    >>> run("a + b", on="gpu-node", a=1, b=2)                            # doctest: +SKIP
    3
    >>> run("len(open('a.csv').read())", files=["a.csv"])                # doctest: +SKIP
    >>> run("model = fit(x)", on="gpu-node", out=["model"], fit=f, x=x)  # doctest: +SKIP
    {'model': ...}
    """
    held = None if needs is None else read_needs(needs)
    there = _own(connect(), on, held)
    return there.run(
        code,
        out=out,
        timeout=timeout,
        needs=held,
        priority=priority,
        files=files,
        **variables,
    )


async def run_async(
    code: str,
    on: str = "",
    *,
    out: Sequence[str] | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the node keeps it
    needs: Needs | None = None,
    priority: int = 0,
    files: Sequence[StrPath] = (),
    **variables: Any,
) -> Any:
    """`run` for async code; cancelling it stops the code on the node.

    Examples
    --------
    >>> await run_async("a + b", on="gpu-node", a=1, b=2)                # doctest: +SKIP
    3
    """
    held = None if needs is None else read_needs(needs)
    there = await asyncio.to_thread(lambda: _own(connect(), on, held))
    return await there.run_async(
        code,
        out=out,
        timeout=timeout,
        needs=held,
        priority=priority,
        files=files,
        **variables,
    )


def session(on: str = "", name: str | None = None, *, where: str = "") -> RemoteSession:
    """A session on a node: a process that keeps variables between runs.

    Parameters
    ----------
    on
        As in `run`.
    name
        The name of a session, which goes on after the ``with`` block; None for a new session, which
        ends with the block.
    where
        The conditions for ``any``, as in ``"gpu>=1,mem>=8G,python>=3.12,LABEL"``.

    Examples
    --------
    >>> with session("gpu-node") as s:                                   # doctest: +SKIP
    ...     s["x"] = [1, 2, 3]
    ...     s.run("total = sum(x)")
    ...     s["total"]
    6
    """
    client = connect()
    node_id, named = _target(client, on, where)
    name = name or named
    engine = Session(client, node_id, name or f"session-{secrets.token_hex(8)}")
    return RemoteSession(engine, is_new=not name)


#: The sessions that `run` has used, by client, node and name.
_shared: dict[tuple[Client, str, str], RemoteSession] = {}


def _own(client: Client, on: str, needs: Requirements | None) -> RemoteSession:
    """The session of this process on a node, or the one that `on` names."""
    node_id, name = _target(client, on, "", needs)
    engine = Session(client, node_id, name or None)
    return _shared.setdefault((client, node_id, engine.name), RemoteSession(engine, is_shared=True))


def _target(
    client: Client, on: str, where: str, needs: Requirements | None = None
) -> tuple[str, str]:
    """The node and the name of the session that is meant; a node for ``any`` can give `needs`."""
    node_id, _, name = (on or os.environ.get(NODE_VARIABLE, "")).partition("/")
    if where and node_id not in ("", ANY):
        raise UsageError(f"where= chooses a node, but {node_id!r} is named: write 'any'.")
    if where or node_id == ANY:
        asked = parse_where(where) if where else ()
        asked += conditions_of(needs) if needs is not None else ()
        return find_any(client.list_nodes(), asked), name
    return find_node(node_id, client.known_nodes()), name
