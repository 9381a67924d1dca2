"""Finds what is wrong between this machine and a node: tries every step on the way.

``easyremote doctor`` and ``%remote_doctor`` show what this module finds.
``tests/client/test_diagnosis.py`` proves it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from easyremote import config
from easyremote.client.client import Client
from easyremote.errors import EasyRemoteError, NotAuthorized, NotFound
from easyremote.protocol.snapshot import NodeInfo

__all__ = ["Finding", "diagnose"]

#: Seconds that a node has for a call that does nothing; the first call starts a process.
CALL_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one step: ``ok``, something to know (``note``) or ``wrong``, and what to do."""

    verdict: Literal["ok", "note", "wrong"]
    text: str


def diagnose(node_id: str | None = None) -> Iterator[Finding]:
    """Try every step between this machine and a node, one after the other.

    Parameters
    ----------
    node_id
        The node; None for all nodes online.

    Yields
    ------
    Finding
        The result of each step, as soon as it is known. On the way to the gateway the first
        ``wrong`` one is the last.

    Examples
    --------
    >>> all(found.verdict != "wrong" for found in diagnose("gpu-node"))   # doctest: +SKIP
    True
    """
    try:
        settings = config.find_settings()
        yield Finding("ok", f"gateway {settings.gateway}, from {settings.gateway_from}")
        settings.key("client")
        yield Finding("ok", f"a client key, from {settings.key_from}")
        with Client() as client:
            client.connect()
            yield Finding("ok", f"the gateway answers in {client.ping() * 1000:.1f} ms")
            for node in _wanted(client, client.list_nodes(), node_id):
                yield from _check_node(client, node)
    except NotAuthorized as error:
        yield Finding("wrong", f"the gateway is there, but refuses the key: {error}")
    except EasyRemoteError as error:
        yield Finding("wrong", str(error))


def _wanted(client: Client, known: list[NodeInfo], node_id: str | None) -> list[NodeInfo]:
    if node_id is not None:
        found = [node for node in known if node.node_id == node_id]
        if not found:  # the gateway answers with similar names, and the nodes online
            client.ship(_nothing, (), {}, node_id=node_id, timeout=CALL_LIMIT).result()
        return found
    if not any(node.state == "online" for node in known):
        raise NotFound(
            "no node is online. Start one on the machine that is to compute: "
            "easyremote node --node-id NAME"
        )
    return [node for node in known if node.state == "online"]


def _check_node(client: Client, node: NodeInfo) -> Iterator[Finding]:
    name = f"node {node.node_id}"
    if node.state != "online":
        yield Finding(
            "wrong",
            f"{name} has been offline for {node.since:.0f} s. Look at its terminal, or start it "
            f"again: easyremote node --node-id {node.node_id}",
        )
        return
    if not node.runs_code:
        names = ", ".join(node.functions) or "none"
        yield Finding("ok", f"{name} is online and runs registered functions only: {names}")
        return
    try:
        began = time.monotonic()
        client.ship(_nothing, (), {}, node_id=node.node_id, timeout=CALL_LIMIT).result()
    except EasyRemoteError as error:
        yield Finding("wrong", f"{name} is online, but a call there failed: {error}")
        return
    took = (time.monotonic() - began) * 1000
    yield Finding("ok", f"{name} runs code; a call took {took:.1f} ms")
    if node.python.rpartition(".")[0] != platform.python_version().rpartition(".")[0]:
        yield Finding(
            "note",
            f"{name} has Python {node.python}, here is {platform.python_version()}: functions "
            "travel as source, and some values may not travel",
        )


def _nothing() -> None:
    return None
