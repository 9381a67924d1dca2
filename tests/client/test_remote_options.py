"""The options of `@remote`: what is accepted, and what is refused where it is written."""

from __future__ import annotations

from typing import Any

import pytest

from easyremote import remote
from easyremote.client.remote import RemoteAsyncFunction, RemoteFunction, RemoteGenerator
from easyremote.client.remote_options import RemoteOptions
from easyremote.errors import UsageError
from easyremote.options.requirements import Requirements
from easyremote.options.retries import Retry


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        *[({"load_balancing": word}, "load_balancing", "") for word in (True, False, None)],
        ({"load_balancing": "round_robin"}, "load_balancing", "round_robin"),
        ({"load_balancing": {"strategy": "resource_aware"}}, "load_balancing", ""),
        ({"load_balancing": {"strategy": "latency"}}, "load_balancing", "latency"),
        ({"retry_policy": "none"}, "retry_policy", Retry(1)),
        *[({"on_node_loss": word}, "on_node_loss", word) for word in ("fail", "retry")],
        ({"on_node_loss": "wait"}, "on_node_loss", ""),
        ({"gateway_address": "vps:1"}, "gateway", "vps:1"),
        ({"timeout": 3}, "timeout", 3.0),
        ({"node_id": None}, "node_id", ""),
        ({"needs": "cpu=2,memory=1GB"}, "needs", Requirements(cpu=2.0, memory=10**9)),
        ({"needs": {"gpu": True}}, "needs", Requirements(gpu=1)),
        ({"priority": -3}, "priority", -3),
    ],
)
def test_options_are_read(options: dict[str, Any], field: str, value: object) -> None:
    assert getattr(RemoteOptions.read(options), field) == value


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"node": "gpu"}, r"@remote has no option 'node'. Did you mean 'node_id'\? There are: nod"),
        ({"load_balancing": "fastest"}, "load_balancing can't be 'fastest'"),
        ({"retry_policy": 3}, "retry_policy.*can't be 3"),
        ({"on_node_loss": "retyr"}, "@remote: on_node_loss can't be 'retyr'. Did you mean 'retry'"),
        ({"timeout": 0}, "timeout is in seconds and above 0"),
        ({"node_id": 3}, "@remote: node_id is a text, not 3"),
        ({"needs": {"memory": 8}}, "@remote: needs: memory is a size above 0 with its unit"),
        ({"needs": "gpu=0"}, "@remote: needs: gpu is True or how many GPUs"),
        ({"priority": 11}, "@remote: priority is a whole number from -10 to 10, not 11"),
        ({"priority": True}, "@remote: priority is a whole number"),
        ({"ship": "yes"}, "@remote: ship is True or False"),
        ({"gateway": "a:1", "gateway_address": "b:1"}, "two options mean gateway"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        remote(**options)


def test_async_func_makes_a_plain_stub_awaitable_and_can_not_be_wrong() -> None:
    def stub() -> None: ...

    async def waits() -> None: ...

    assert type(remote(async_func=True)(stub)) is RemoteAsyncFunction
    assert type(remote(async_func=False)(stub)) is RemoteFunction
    with pytest.raises(UsageError, match=r"waits\(\) is an async function, but has async_func=Fal"):
        remote(async_func=False)(waits)


def test_a_body_beside_a_name_is_what_runs_by_local_and_the_registered_one_is_called() -> None:
    @remote(function_name="train")
    def fallback(x: int) -> int:
        return x + 1

    assert not fallback._target.is_shipped
    assert repr(fallback) == "<remote function train on any node>"
    assert fallback.local(1) == 2
    shipped = remote(function_name="train", ship=True)(lambda x: x)
    assert shipped._target.is_shipped


def test_in_a_class_the_methods_that_are_stubs_call_those_of_a_registered_class() -> None:
    @remote(node_id="gpu-node", timeout=3)
    class Model:
        def predict(self, x: int) -> int: ...  # type: ignore[empty-body]
        def items(self) -> Any:
            yield

        async def fetch(self) -> None: ...
        def here(self) -> str:
            return "here"

        def _private(self) -> None: ...

    model: Any = Model()
    assert repr(model.predict) == "<remote function Model.predict on gpu-node>"
    kinds = [type(each) for each in (model.predict, model.items, model.fetch)]
    assert kinds == [RemoteFunction, RemoteGenerator, RemoteAsyncFunction]
    assert model.predict._target.options.timeout == 3.0
    assert model.here() == "here" and model._private() is None
