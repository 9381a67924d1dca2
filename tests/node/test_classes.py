"""A class that is registered: made once, its methods are functions."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any

import pytest

from easyremote.errors import UsageError
from easyremote.node.functions import Functions


class Base:
    def shared(self) -> str:
        return "shared"


class Model(Base):
    """A model."""

    made = 0

    def __init__(self, weights: str = "default") -> None:
        type(self).made += 1
        self.calls = 0

    def predict(self, x: int, *, scale: float = 1.0) -> float:
        """Predict it."""
        self.calls += 1
        return x * scale + self.calls

    async def fetch(self) -> int:
        return 1

    def items(self) -> Iterator[int]:
        yield 1

    @staticmethod
    def twice(x: int) -> int:
        return 2 * x

    @classmethod
    def title(cls) -> str:
        return cls.__name__

    def _private(self) -> None: ...

    number = 3


def registered(cls: type, **options: Any) -> Functions:
    functions = Functions()
    functions.register(cls, **options)
    return functions


def test_its_public_methods_are_functions_with_their_own_kind_and_signature() -> None:
    specs = {each.name: each.spec for each in registered(Model, timeout=3.0)}
    names = ("fetch", "items", "predict", "shared", "title", "twice")
    assert sorted(specs) == [f"Model.{name}" for name in names]
    predict = specs["Model.predict"]
    assert (predict.doc, predict.timeout) == ("Predict it.", 3.0)
    assert predict.signature == "(x: 'int', *, scale: 'float' = 1.0) -> 'float'"
    assert '"x": {"type": "integer"}' in predict.parameters and "self" not in predict.parameters
    assert specs["Model.twice"].signature == "(x: 'int') -> 'int'"
    assert specs["Model.fetch"].is_async and specs["Model.items"].streams


def test_it_is_made_once_at_the_first_call() -> None:
    Model.made = 0
    functions = registered(Model, name="Net")
    assert Model.made == 0
    predict = functions.get("Net.predict")
    assert predict is not None
    assert [predict.ready()(1, scale=10.0) for _ in range(3)] == [11.0, 12.0, 13.0]
    shared = functions.get("Net.shared")
    assert shared is not None and shared.ready()() == "shared"
    assert Model.made == 1


def test_an_init_that_fails_is_told_and_tried_again_at_the_next_call() -> None:
    tries: list[int] = []

    class Late:
        def __init__(self) -> None:
            tries.append(1)
            if len(tries) < 3:
                raise OSError("the weights are not there yet")

        def ask(self) -> str:
            return "here"

    ask = registered(Late).get("Late.ask")
    assert ask is not None
    for _ in range(2):
        with pytest.raises(OSError, match="not there yet") as failed:
            ask.ready()
        assert failed.value.__notes__ == [
            "Late() could not be made on its node. The next call tries again."
        ]
    assert ask.ready()() == "here"


class Needs:
    def __init__(self, path: str) -> None: ...
    def read(self) -> None: ...


class Empty:
    def _read(self) -> None: ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def read(self) -> None: ...


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (Needs, r"Needs is made without arguments .* Needs\(\) has to work .*'path'"),
        (Empty, "Empty has no public method"),
        (Abstract, "Abstract is abstract"),
    ],
)
def test_a_class_that_can_not_be_made_is_refused_at_once(cls: type, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        registered(cls)


def test_two_classes_of_one_name_are_refused_and_the_same_again_is_not() -> None:
    functions = registered(Model)
    functions.register(Model)
    with pytest.raises(UsageError, match=r"has a function 'Model\.\w+' already"):
        functions.register(type("Model", (Base,), {"predict": lambda self: 1}))
