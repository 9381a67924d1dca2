"""A user's script, run as ``__main__``: each ``check_`` function is shipped, and called there.

Prints a JSON object: the name of the check, and the payload in hex (or why there is none).
"""

import abc
import asyncio
import collections
import contextlib
import dataclasses
import enum
import functools
import inspect
import json
import math
import os.path
import sys
import threading
import traceback
import typing
from dataclasses import dataclass, field

import program_module
from program_module import Shape, scaled

FACTOR = 3
counter = 0
data = threading.Lock()  # can't travel; `.data` below must not drag it along


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def is_even(n):
    return n == 0 or is_odd(n - 1)


def is_odd(n):
    return n != 0 and is_even(n - 1)


def check_recursion():
    assert factorial(10) == math.factorial(10)


def check_mutual_references():
    assert is_even(10) and not is_odd(10)


def check_globals_travel_transitively_and_nothing_else():
    assert triple(2) == 6
    assert "factorial" not in globals() and "data" not in globals()


def triple(x):
    return x * FACTOR


def count():
    global counter
    counter += 1


def check_functions_share_their_globals():
    count()
    count()
    assert counter == 2


def make_counter():
    n = 0

    def up(by=1, *, times=1):
        nonlocal n
        n += by * times
        return n

    def now():
        return n

    return up, now


up, now = make_counter()


def check_closures_share_their_cells():
    up(2, times=3)
    assert now() == 6


def make_recursive():
    def depth(tree):
        return 1 + max(map(depth, tree), default=0)

    return depth


recursive = make_recursive()


def check_a_nested_function_that_calls_itself():
    assert recursive([[], [[]]]) == 3


first, second, third = lambda x: x + 1, lambda x: x + 2, (lambda x: lambda y: x + y)
private = {"key": lambda self, *rest, flag=True, **more: (self, rest, flag, more)}


def check_lambdas_on_one_line_and_over_several():
    assert (first(1), second(1), third(1)(2)) == (2, 3, 3)
    assert private["key"](1, 2, z=3) == (1, (2,), True, {"z": 3})


inner = third(40)


def check_a_lambda_made_by_a_lambda():
    assert inner(2) == 42


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return function(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


@logged
@functools.cache
def slow(x: int, y: "int" = 2) -> int:
    """Say so."""
    text = """
  as it is
"""
    return x * y + len(text)


def check_decorators_have_had_their_effect():
    assert slow(4) == slow(4) == 8 + 12
    assert slow.calls == 2
    assert slow.__wrapped__.cache_info().hits == 1
    assert slow.__doc__ == "Say so."
    assert list(inspect.signature(slow.__wrapped__.__wrapped__).parameters) == ["x", "y"]


partial = functools.partial(triple, 5)


def check_partial():
    assert partial() == 15


class Base(abc.ABC):
    registry = []

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)

    @abc.abstractmethod
    def name(self): ...

    @staticmethod
    def make(kind):
        return Child() if kind == "child" else None


class Mixin:
    __slots__ = ()

    @classmethod
    def called(cls):
        return cls.__name__


class Child(Base, Mixin):
    __secret = 7

    def name(self):
        return "child of " + type(super().make("child")).__name__

    def secret(self):
        return self.__secret, (lambda: self.__secret)()

    @property
    def doubled(self):
        return self.__secret * 2

    @functools.cached_property
    def once(self):
        return [self.__hidden(1)]

    def __hidden(self, __x):
        return __x + type(self).__secret

    class Inner:
        def outer(self):
            return Child


def check_class_hierarchies():
    child = Base.make("child")
    assert isinstance(child, Child) and isinstance(child, Mixin) and Child.called() == "Child"
    assert child.name() == "child of Child"
    assert child.secret() == (7, 7) and child.doubled == 14
    assert child.once is child.once and child.once == [8]
    assert Child.Inner().outer() is Child and Child.Inner.__qualname__ == "Child.Inner"
    try:
        Base()
    except TypeError:
        pass
    else:
        raise AssertionError("an abstract class was made")


@dataclass(order=True)
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list, compare=False, repr=False)
    unit: typing.ClassVar[str] = "m"

    def norm(self):
        return math.hypot(self.x, self.y)

    def __repr__(self):
        return f"<{self.x}, {self.y}>"


@dataclass(frozen=True, slots=True)
class Frozen(collections.abc.Hashable):
    a: int
    b: "int" = 5
    _: dataclasses.KW_ONLY
    c: int = 6


@dataclass
class Wide(Point):
    width: int = field(default=1, kw_only=True)
    seed: dataclasses.InitVar[int] = 4

    def __post_init__(self, seed):
        self.width += seed


point, frozen, wide = Point(3, 4), Frozen(1, c=2), Wide(1)


def check_dataclasses():
    assert point.norm() == 5 and repr(point) == "<3, 4>" and point == Point(3, 4) < Point(4)
    assert [each.name for each in dataclasses.fields(Point)] == ["x", "y", "tags"]
    assert Point.unit == "m" and Point(1).tags is not Point(1).tags
    assert repr(frozen) == "Frozen(a=1, b=5, c=2)" and frozen in {Frozen(1, c=2)}
    assert not hasattr(frozen, "__dict__") and Frozen(1).c == 6
    try:
        frozen.a = 2
    except dataclasses.FrozenInstanceError:
        pass
    else:
        raise AssertionError("a frozen one was changed")
    assert wide.width == 5 and Wide(1, width=2, seed=0).width == 2
    assert dataclasses.replace(point, x=1) == Point(1, 4)
    assert dataclasses.asdict(frozen) == {"a": 1, "b": 5, "c": 2}


class Color(enum.Enum):
    RED = 1
    GREEN = enum.auto()
    CRIMSON = 1

    def lower(self):
        return self.name.lower() + str(FACTOR)

    @classmethod
    def _missing_(cls, value):
        return cls.RED


class Level(str, enum.Enum):  # noqa: UP042  # the mixin is what is tested
    LOW = "low"


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2
    BOTH = 3


class Planet(enum.Enum):
    EARTH = (5.9, 6.3)

    def __init__(self, mass, radius):
        self.mass = mass
        self.radius = radius


red = Color.RED


def check_enums():
    assert red is Color.RED is Color.CRIMSON is Color(1) and red.lower() == "red3"
    assert Color("what") is Color.RED and list(Color) == [Color.RED, Color.GREEN]
    assert Level.LOW == "low" and Level("low") is Level.LOW
    assert Access.READ | Access.WRITE == Access.BOTH and Access(3) is Access.BOTH
    assert Planet.EARTH.radius == 6.3 and Planet.EARTH.value == (5.9, 6.3)


Pair = collections.namedtuple("Pair", "left right", defaults=[2])


class Named(typing.NamedTuple):
    name: str
    size: int = 1

    def twice(self):
        return self.size * 2


class Options(typing.TypedDict, total=False):
    depth: int


pair, named = Pair(1), Named("n", 4)


def check_named_tuples_and_typed_dicts():
    assert pair == (1, 2) and pair.right == 2 and pair._replace(left=3) == Pair(3, 2)
    assert named.twice() == 8 and Named("m").size == 1 and repr(named) == "Named(name='n', size=4)"
    assert Options(depth=1) == {"depth": 1} and "depth" in Options.__annotations__


T = typing.TypeVar("T")


class Box(typing.Generic[T]):
    __slots__ = ("item", "__weakref__")

    def __init__(self, item: T):
        self.item = item

    def __eq__(self, other):
        return isinstance(other, Box) and self.item == other.item

    __hash__ = None


class Meta(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.by = cls.__name__
        return made


class WithMeta(metaclass=Meta):
    pass


box, with_meta = Box([1]), WithMeta()


def check_generics_slots_and_metaclasses():
    assert box == Box([1]) and Box[int] and not hasattr(box, "__dict__")
    assert with_meta.by == "WithMeta" and WithMeta().by == "WithMeta"


class Failure(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self):
        return Failure, (self.code,)


failure = Failure(4)


def check_exceptions():
    try:
        raise failure
    except Failure as error:
        assert error.code == 4 and str(error) == "code 4"


def generate(n):
    for i in range(n):
        yield i * FACTOR


async def wait():
    await asyncio.sleep(0)
    return [i async for i in agenerate()]


async def agenerate():
    yield FACTOR


@contextlib.contextmanager
def managed():
    yield FACTOR


def check_generators_coroutines_and_context_managers():
    assert list(generate(3)) == [0, 3, 6]
    assert asyncio.run(wait()) == [3]
    with managed() as value:
        assert value == 3


def check_modules_go_by_reference():
    assert os.path.join("a", "b") and typing.Any and sys.version


def check_the_users_own_modules_go_by_value():
    assert scaled(2) == 21 and program_module.scaled(3) == 31
    assert program_module.Shape is Shape and Shape(2).area() == 40
    assert "program_module" not in sys.modules


class Holder:
    data = 5


def check_an_attribute_with_the_name_of_a_global_ships_nothing():
    assert Holder.data == 5 and Holder().data == 5


def check_a_class_inside_a_function():
    class Local(Holder):
        def get(self):
            return super().data, __class__.__name__

    assert Local().get() == (5, "Local")


def make_local():
    class Local:
        def clone(self):
            return Local()

    return Local


Local = make_local()


def check_a_class_made_by_a_function():
    assert type(Local().clone()) is Local


def fails():
    raise ValueError("with its line")  # the line that the traceback shows


def check_tracebacks_show_the_lines():
    try:
        fails()
    except ValueError:
        text = traceback.format_exc()
    assert "# the line that the traceback shows" in text, text
    assert "in fails" in text
    assert "def factorial" in inspect.getsource(factorial)


def check_names():
    assert fails.__module__ == "__main__" and fails.__name__ == fails.__qualname__ == "fails"
    assert recursive.__qualname__ == "make_recursive.<locals>.depth"
    assert Child.name.__qualname__ == "Child.name" and Child.__module__ == "__main__"


METHODS = [Point(6, 8).norm, Child().name, "a,b".split, len, str.upper]


def check_methods_and_builtins():
    norm, name, split, size, upper = METHODS
    assert norm() == 10 and name() == "child of Child" and split(",") == ["a", "b"]
    assert size([1]) == 1 and upper("a") == "A"


ORIGIN = Point(1, 2)


def check_defaults(a=ORIGIN, /, b=FACTOR, *rest, c=Color.RED, **more):
    assert a == Point(1, 2) and b == 3 and c is Color.RED


def main():
    from easyremote.serialize.values import dump

    python = None if sys.argv[1] == "unknown" else tuple(map(int, sys.argv[1].split(".")))
    checks = {name: value for name, value in globals().items() if name.startswith("check_")}
    payloads = {}
    for name, check in checks.items():
        try:
            payloads[name] = b"".join(dump(check, python=python).parts).hex()
        except Exception:
            payloads[name] = "not dumped: " + traceback.format_exc()
    json.dump(payloads, sys.stdout)


if __name__ == "__main__":
    main()
