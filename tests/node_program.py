"""The functions of the node that the tests talk to."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from easyremote.node import node


@node.register
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@node.register
def named(**arguments):
    return arguments


@node.register
def echo(value):
    return value


@node.register
def first_after_a_fork(array):
    """The first element, after a forked process has written to its own copy."""
    child = os.fork()
    if child == 0:
        array[0] = 7
        os._exit(0)
    os.waitpid(child, 0)
    return array[0]


@node.register
async def add_async(a, b):
    await asyncio.sleep(0)
    return a + b


@node.register
def count(n):
    yield from range(n)


@node.register
async def count_async(n):
    for i in range(n):
        yield i


@node.register
def divide(a, b):
    return a / b


class Broken(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)

    def __reduce__(self):
        raise RuntimeError("no way")


@node.register
def fail(how):
    if how == "exit":
        sys.exit(3)
    if how == "broken":
        raise Broken("one", "two")
    if how == "recursion":
        return fail(how)
    if how == "lambda":
        return open(__file__)
    raise ValueError(how)


@node.register
def wait_for(marker, started):
    """Runs until the file `marker` is there; `started` says that it runs."""
    Path(started).touch()
    try:
        while not Path(marker).exists():
            time.sleep(0.01)
    except BaseException as error:
        Path(started).write_text(type(error).__name__)
        raise
    return os.getpid()


@node.register
def die():
    """Ends the node's process, as a crash in native code does."""
    os._exit(9)


@node.register(max_concurrency=1)
def one_at_a_time(log):
    with open(log, "a") as file:
        file.write("in\n")
        file.flush()
        time.sleep(0.05)
        file.write("out\n")


@node.register(timeout=0.2)
def slow():
    while True:
        time.sleep(0.01)


@node.register(public=True)
def square(x: float):
    """The square of a number."""
    return {"x": x, "square": x * x}


@node.register(public=True, auth_required=True)
def secret():
    return 42


@node.register(public=True)
def table():
    import numpy
    import pandas

    return {
        "array": numpy.arange(3),
        "frame": pandas.DataFrame({"a": [1, 2], "b": ["x", None]}),
        "number": numpy.float64(1.5),
    }


@node.register(public=True)
def public_failure():
    raise ValueError("a secret detail")
