"""What `Capture` takes, in a process of its own, since it takes over the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys
channel = os.fdopen(os.dup(1), "w")
published = []
from easyremote.node.worker.printed import Capture
capture = Capture(lambda name, text: published.append((name, text)))
{code}
capture.flush()
channel.write(json.dumps(published))
channel.flush()
"""


FORK = """
print("parent")
if not (child := os.fork()):
    print("child")
    os._exit(0)
os.waitpid(child, 0)
print("again")
"""


def published(code: str) -> list[tuple[str, str]]:
    """The texts that came, those of one stream that followed each other joined."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{code}", code)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    merged: list[tuple[str, str]] = []
    for name, text in json.loads(done.stdout):
        if merged and merged[-1][0] == name:
            merged[-1] = (name, merged[-1][1] + text)
        else:
            merged.append((name, text))
    return merged


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('a', 'b')", [("stdout", "a b\n")]),
        ("print('a'); print('b', file=sys.stderr)", [("stdout", "a\n"), ("stderr", "b\n")]),
        ("print('a'); os.system('echo b'); print('c')", [("stdout", "a\nb\nc\n")]),
        ("os.system('echo a >&2'); print('b')", [("stderr", "a\n"), ("stdout", "b\n")]),
        ("os.write(1, 'é'.encode()[:1]); os.write(1, 'é'.encode()[1:])", [("stdout", "é")]),
        ("os.write(1, bytes([255]))", [("stdout", "\ufffd")]),
        ("sys.stdout.buffer.write('é'.encode())", [("stdout", "é")]),
        ("import ctypes; ctypes.CDLL(None).puts(b'c')", [("stdout", "c\n")]),
        ("sys.stdout.writelines(['a', 'b'])", [("stdout", "ab")]),
        (FORK, [("stdout", "parent\nchild\nagain\n")]),
    ],
)
def test_whatever_is_printed_is_published_in_order(
    code: str, expected: list[tuple[str, str]]
) -> None:
    assert published(code) == expected


def test_more_than_a_pipe_holds_gets_through() -> None:
    (only,) = published("os.write(2, b''); os.system('head -c 1000000 /dev/zero | tr \\\\\\\\0 x')")
    assert only == ("stdout", "x" * 1_000_000)


def test_output_of_a_child_comes_without_a_flush() -> None:
    code = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['echo', 'a'])\n"
        "limit = time.monotonic() + 20\n"
        "while not published and time.monotonic() < limit: time.sleep(0.01)\n"
        "published.append(('stderr', 'seen'))"
    )
    assert published(code) == [("stdout", "a\n"), ("stderr", "seen")]


def test_streams_have_what_programs_ask_for() -> None:
    code = (
        "s = sys.stdout\n"
        "print(s.encoding, s.isatty(), s.fileno(), s.writable(), s.readable(), s.closed)\n"
        "try: s.write(b'x')\nexcept TypeError as error: print(error)"
    )
    assert published(code) == [
        ("stdout", "utf-8 False 1 True False False\nwrite() argument must be str, not bytes\n")
    ]


def test_nothing_reaches_the_old_descriptors() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{code}", "os.write(2, b'gone')")],
        capture_output=True,
        timeout=30,
        check=True,
        env=os.environ,
    )
    assert done.stderr == b""
