"""Functions that do to their process what must not hurt anybody else."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time

from easyremote import RetryPolicy
from easyremote.node import node

#: How often a fork bomb forks.
FORKS = 50


def segfault():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def leave():
    os._exit(7)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def abort():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


def fork_bomb():
    """Fork, and die: the children stay for a while, with all that they have inherited.

    No child goes on with the loop, whatever happens to it: it is a bomb with a limit.
    """
    for number in range(FORKS):
        if os.fork() == 0:
            try:
                if number % 2:
                    os.execv("/bin/sleep", ["sleep", "60"])
                time.sleep(60)
            finally:
                os._exit(0)
    os._exit(9)


def take_memory(group):
    """Go into a group of processes that may use little, and take more than that."""
    with open(group, "w") as file:
        file.write(str(os.getpid()))
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1 << 20)))


def take_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def spin(started):
    open(started, "w").close()
    while True:
        pass


def hold_the_gil(started):
    """A call of C that keeps the GIL."""
    open(started, "w").close()
    while True:
        ctypes.PyDLL(None).sleep(600)


def pid():
    return os.getpid()


for each in (
    segfault,
    leave,
    kill_itself,
    abort,
    fork_bomb,
    take_memory,
    take_descriptors,
    spin,
    hold_the_gil,
    pid,
):
    node.register(scaling="auto")(each)


@node.register(scaling="auto", retry_policy=RetryPolicy(max_attempts=9, first=0.0))
def poison():
    os._exit(7)


@node.register
def in_thread(seconds):
    """In the node's own process."""
    time.sleep(seconds)
    return os.getpid()
