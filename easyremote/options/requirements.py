"""What a call needs of a machine: read from what people write, and compared with a machine. Pure.

`resource_requirements=` of ``register`` and ``--needs`` are read here; sizes of ``--where`` too. A
machine is whatever has the fields of `Machine`, as a node's REGISTER has them.
``tests/options/test_requirements.py`` proves it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from easyremote.errors import UsageError
from easyremote.options.reading import is_whole
from easyremote.options.spelling import check_words

__all__ = ["Machine", "Needs", "Requirements", "lacks", "parse_needs", "parse_requirements"]
__all__ += ["parse_size", "read_needs", "show_size"]

#: No machine has more: what is asked above these is a mistake, and would not fit on the wire.
MOST_BYTES = 2**60
MOST_CORES = 100_000
MOST_GPUS = 1000
MOST_LABELS = 100

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_LABEL = re.compile(r"[^\W\d][\w.-]{0,99}")

Bytes = Annotated[int, Meta(ge=0, le=MOST_BYTES)]


class Requirements(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a call needs, and holds while it runs.

    cpu: how many cores, 0 for no need.
    memory: in bytes, 0 for no need.
    gpu: how many GPUs, 0 for none.
    gpu_memory: on each of these GPUs, in bytes, 0 for no need.
    labels: words that must be among the node's labels or in the name of one of its GPUs.
    """

    cpu: Annotated[float, Meta(ge=0, le=MOST_CORES)] = 0.0
    memory: Bytes = 0
    gpu: Annotated[int, Meta(ge=0, le=MOST_GPUS)] = 0
    gpu_memory: Bytes = 0
    labels: Annotated[
        tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=MOST_LABELS)
    ] = ()

    def __str__(self) -> str:
        """What is needed, for people."""
        of_gpu = f" with {show_size(self.gpu_memory)} of memory" if self.gpu_memory else ""
        parts = [
            f"{_counted(self.gpu, 'GPU')}{of_gpu}" if self.gpu else "",
            f"{show_size(self.memory)} of memory" if self.memory else "",
            _counted(self.cpu, "core") if self.cpu else "",
            *(f"the label {label!r}" for label in self.labels),
        ]
        return ", ".join(filter(None, parts))


class Gpu(Protocol):
    """One GPU of a machine; memory is in bytes."""

    @property
    def name(self) -> str: ...
    @property
    def memory_total(self) -> int: ...


class Machine(Protocol):
    """What a machine has, as its node tells it; memory is in bytes."""

    @property
    def cores(self) -> int: ...
    @property
    def memory_total(self) -> int: ...
    @property
    def gpus(self) -> Sequence[Gpu]: ...
    @property
    def labels(self) -> Sequence[str]: ...


#: How people write what a call needs: ``"cpu=2,memory=8GB"``, ``{"cpu": 2, "memory": "8GB"}``.
Needs = str | Mapping[str, Any] | Requirements


def lacks(needs: Requirements, machine: Machine) -> list[str]:
    """What a machine can never give, each in words: ``["no GPU"]``; empty where it has all."""
    missing = []
    if needs.gpu:
        missing.append(_lacking_gpus(needs, machine.gpus))
    if needs.memory > machine.memory_total:
        has = show_size(machine.memory_total)
        missing.append(f"only {has} of memory ({show_size(needs.memory)} are needed)")
    if needs.cpu > machine.cores:
        has = _counted(machine.cores, "core")
        missing.append(f"only {has} ({needs.cpu:g} are needed)")
    words = {word.lower() for word in machine.labels}
    for label in needs.labels:
        in_gpu = any(label.lower() in gpu.name.lower() for gpu in machine.gpus)
        if not in_gpu and label.lower() not in words:
            missing.append(f"no label {label!r}")
    return [each for each in missing if each]


def _lacking_gpus(needs: Requirements, gpus: Sequence[Gpu]) -> str:
    if not gpus:
        return "no GPU"
    fit = [gpu for gpu in gpus if gpu.memory_total >= needs.gpu_memory]
    if len(fit) >= needs.gpu:
        return ""
    if len(gpus) < needs.gpu:
        return f"only {_counted(len(gpus), 'GPU')} ({needs.gpu} are needed)"
    largest = show_size(max(gpu.memory_total for gpu in gpus))
    size = show_size(needs.gpu_memory)
    if not fit:
        return f"no GPU with {size} of memory (the largest has {largest})"
    return f"only {_counted(len(fit), 'GPU')} with {size} of memory ({needs.gpu} are needed)"


def parse_requirements(given: object, option: str = "resource_requirements") -> Requirements:
    """Read what somebody wrote.

    Parameters
    ----------
    given
        A mapping with any of ``gpu`` (True, or how many), ``gpu_memory`` and ``memory`` (sizes, as
        ``"8GB"``), ``cpu`` (cores) and ``labels`` (a list of words).
    option
        The name of the option, for messages.

    Raises
    ------
    UsageError
        A word or a value is wrong: which one, and how it is written.

    Examples
    --------
    >>> str(parse_requirements({"gpu": True, "memory": "8GB"}))
    '1 GPU, 8 GB of memory'
    """
    if isinstance(given, Requirements):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"{option} is a dict, as {{'gpu': True, 'memory': '8GB'}}, not {given!r}.")
    check_words(given, _READERS, f"{option} has no")
    found: dict[str, Any] = {
        name: _READERS[name](value, f"{option}: {name}") for name, value in given.items()
    }
    if found.get("gpu_memory") and not found.get("gpu"):
        if "gpu" in found:
            raise UsageError(f"{option}: gpu_memory was given, but gpu is {given['gpu']!r}.")
        found["gpu"] = 1
    return Requirements(**found)


def parse_needs(text: str, option: str = "--needs") -> Requirements:
    """Read ``--needs``; of several labels each is written on its own.

    Raises
    ------
    UsageError
        As of `parse_requirements`.

    Examples
    --------
    >>> str(parse_needs("gpu_memory=16GB,gpu=2,label=a100"))
    "2 GPUs with 16 GB of memory, the label 'a100'"
    """
    given: dict[str, object] = {}
    labels: list[str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, value = map(str.strip, part.partition("="))
        if name in ("label", "labels"):
            labels.append(value)
            given["labels"] = labels
        elif name in ("gpu", "cpu"):
            given[name] = _number(value) if value else True
        else:
            given[name] = value
    if not given:
        raise UsageError(f"{option} is what a call needs, as in 'gpu_memory=16GB,gpu=1'.")
    return parse_requirements(given, option)


def read_needs(given: object, option: str = "needs") -> Requirements:
    """Read ``needs=``: the words of ``--needs``, as text or as a dict.

    Raises
    ------
    UsageError
        As of `parse_requirements`.

    Examples
    --------
    >>> read_needs("cpu=2,memory=8GB") == read_needs({"cpu": 2, "memory": "8GB"})
    True
    """
    if isinstance(given, str):
        return parse_needs(given, option)
    return parse_requirements(given, option)


def _number(text: str) -> object:
    """The number that is written there; the text where it is none, for the message."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _gpu(value: Any, what: str) -> int:
    if value is None or isinstance(value, bool):
        return int(bool(value))
    if not is_whole(value, 1, MOST_GPUS):
        raise UsageError(f"{what} is True or how many GPUs, from 1 to {MOST_GPUS}, not {value!r}.")
    return int(value)


def _cpu(value: object, what: str) -> float:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    cores = float(value) if is_number and isinstance(value, Real) else math.nan
    if not 0 < cores <= MOST_CORES:
        raise UsageError(f"{what} is a number of cores above 0, as 2, not {value!r}.")
    return cores


def _memory(value: object, what: str) -> int:
    try:
        size = parse_size(value) if isinstance(value, str) and not value.isdecimal() else 0
    except ValueError:
        size = 0
    if not 0 < size <= MOST_BYTES:
        raise UsageError(
            f"{what} is a size above 0 with its unit (KB, MB, GB, TB, or KiB, MiB, GiB, TiB), as "
            f"'8GB', not {value!r}."
        )
    return int(size)


def _labels(value: object, what: str) -> tuple[str, ...]:
    words = () if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if not 0 < len(words) <= MOST_LABELS or not all(
        isinstance(word, str) and _LABEL.fullmatch(word) for word in words
    ):
        raise UsageError(
            f"{what} is a list of words of letters, digits, '.', '-' and '_', as ['a100'], "
            f"not {value!r}."
        )
    return words


_READERS: dict[str, Callable[[object, str], object]] = {
    "gpu": _gpu,
    "gpu_memory": _memory,
    "memory": _memory,
    "cpu": _cpu,
    "labels": _labels,
}


def parse_size(text: str) -> float:
    """``8G`` or ``8GB`` in bytes; ``8GiB`` is a little more.

    Raises
    ------
    ValueError
        It is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    power = " KMGT".index(match[2].upper() or " ")
    return float(match[1]) * (1024.0 if match[3] else 1000.0) ** power


def show_size(size: float) -> str:
    """Bytes as people write them: ``8 GB``."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "KB")):
        if size >= 1000**power:
            return f"{size / 1000**power:.3g} {unit}"
    return f"{size:.0f} bytes"


def _counted(count: float, what: str) -> str:
    return f"{count:g} {what}{'' if count == 1 else 's'}"
