"""What the functions of the node do wrong in ``test_bad_input.py``."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading

from easyremote.node import node


class BrokenReduce(Exception):
    def __reduce__(self):
        raise RuntimeError("no")


class BrokenStr(Exception):
    def __str__(self):
        raise RuntimeError("no")


@node.register
def returns(what):
    if what == "lock":
        return {"a": [1, threading.Lock()]}
    if what == "generator":
        return (i for i in range(3))
    return sqlite3.connect(":memory:")


@node.register
def raises(what):
    if what == "reduce":
        raise BrokenReduce("what was wrong")
    if what == "str":
        raise BrokenStr("x")
    if what == "group":
        raise ExceptionGroup("many", [ValueError("a"), TypeError("b")])
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "cancelled":
        raise asyncio.CancelledError
    if what == "surrogate":
        raise ValueError("file \ud800")
    if what == "long":
        raise ValueError("x" * 1_000_000)
    raise ValueError(what)


@node.register
def yields(what):
    yield 1
    if what == "error":
        raise ValueError("after one")
    yield threading.Lock()


@node.register
def numbers(n):
    yield from range(n)


@node.register(name="grüße 🚀")
def greet(name, *, zusatz="ß"):
    return {f"Grüß dich, {name}": zusatz}


@node.register
def prints(megabytes):
    for _ in range(megabytes):
        print("x" * 1_000_000)
    return megabytes


@node.register
def pid():
    return os.getpid()
