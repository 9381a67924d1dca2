"""What a call needs: read, refused where it is wrong, and compared with a machine."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from easyremote.errors import UsageError
from easyremote.options.requirements import (
    MOST_GPUS,
    Requirements,
    lacks,
    parse_needs,
    parse_requirements,
    parse_size,
    read_needs,
    show_size,
)
from easyremote.protocol.messages import Gpu, Register

GB = 10**9


@pytest.mark.parametrize(
    ("given", "needs"),
    [
        ({"gpu": True, "memory": "8GB"}, Requirements(gpu=1, memory=8 * GB)),
        ({"gpu": 2, "gpu_memory": "16 GiB"}, Requirements(gpu=2, gpu_memory=16 * 2**30)),
        ({"gpu_memory": "24G"}, Requirements(gpu=1, gpu_memory=24 * GB)),
        ({"gpu": False, "cpu": 2}, Requirements(cpu=2.0)),
        ({"cpu": 0.5, "labels": ["a100", "fast"]}, Requirements(cpu=0.5, labels=("a100", "fast"))),
        (
            {"memory": "512 MB", "labels": {"a100"}},
            Requirements(memory=512 * 10**6, labels=("a100",)),
        ),
        ({}, Requirements()),
    ],
)
def test_what_is_needed_is_read(given: dict[str, Any], needs: Requirements) -> None:
    assert parse_requirements(given) == needs
    assert parse_requirements(needs) is needs
    packed = msgspec.msgpack.encode(needs)
    assert msgspec.msgpack.decode(packed, type=Requirements) == needs, "it fits on the wire"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("gpu", r"is a dict, as \{'gpu': True, 'memory': '8GB'\}, not 'gpu'"),
        ({"gpus": 1}, r"has no 'gpus'. Did you mean 'gpu'\? There are: gpu, gpu_memory, memory"),
        ({"gpu": 0}, "gpu is True or how many GPUs, from 1 to 1000, not 0"),
        ({"gpu": -1}, "gpu is True or how many GPUs"),
        ({"gpu": 0.5}, "gpu is True or how many GPUs"),
        ({"gpu": MOST_GPUS + 1}, "gpu is True or how many GPUs"),
        ({"gpu": False, "gpu_memory": "8GB"}, "gpu_memory was given, but gpu is False"),
        ({"memory": "8 parsecs"}, "memory is a size above 0 with its unit .* not '8 parsecs'"),
        ({"memory": "0GB"}, "memory is a size above 0"),
        ({"memory": "-8GB"}, "memory is a size above 0"),
        ({"memory": "8"}, "memory is a size above 0 with its unit"),
        ({"memory": 8}, "memory is a size above 0 with its unit"),
        ({"memory": "9999999999TB"}, "memory is a size"),
        ({"gpu_memory": True}, "gpu_memory is a size"),
        ({"cpu": 0}, "cpu is a number of cores above 0, as 2, not 0"),
        ({"cpu": -2}, "cpu is a number of cores"),
        ({"cpu": float("nan")}, "cpu is a number of cores"),
        ({"cpu": float("inf")}, "cpu is a number of cores"),
        ({"cpu": True}, "cpu is a number of cores"),
        ({"cpu": "2"}, "cpu is a number of cores"),
        ({"labels": "a100"}, r"labels is a list of words .* as \['a100'\], not 'a100'"),
        ({"labels": []}, "labels is a list of words"),
        ({"labels": ["two words"]}, "labels is a list of words"),
        ({"labels": [1]}, "labels is a list of words"),
    ],
)
def test_what_can_not_be_is_refused_with_how_it_is_written(given: Any, text: str) -> None:
    with pytest.raises(UsageError, match=f"^resource_requirements.*{text}"):
        parse_requirements(given)


LAPTOP = Register((), 4, ("fast",), 8, 16 * GB)
BOX = Register(
    (), 4, (), 64, 256 * GB, (Gpu("NVIDIA A100", 0, 0, 40 * GB), Gpu("T4", 0, 0, 16 * GB))
)


@pytest.mark.parametrize(
    ("needs", "machine", "missing"),
    [
        ({"gpu": True}, LAPTOP, ["no GPU"]),
        ({"gpu": True}, BOX, []),
        ({"gpu": 3}, BOX, ["only 2 GPUs (3 are needed)"]),
        ({"gpu_memory": "48GB"}, BOX, ["no GPU with 48 GB of memory (the largest has 40 GB)"]),
        (
            {"gpu": 2, "gpu_memory": "24GB"},
            BOX,
            ["only 1 GPU with 24 GB of memory (2 are needed)"],
        ),
        ({"gpu": 2, "gpu_memory": "16GB"}, BOX, []),
        ({"memory": "16GB", "cpu": 8}, LAPTOP, []),
        (
            {"memory": "32GB", "cpu": 16},
            LAPTOP,
            ["only 16 GB of memory (32 GB are needed)", "only 8 cores (16 are needed)"],
        ),
        ({"labels": ["FAST"]}, LAPTOP, []),
        ({"labels": ["a100"]}, BOX, []),
        ({"labels": ["a100", "fast"]}, LAPTOP, ["no label 'a100'"]),
    ],
)
def test_what_a_machine_can_never_give_is_told_in_words(
    needs: dict[str, Any], machine: Register, missing: list[str]
) -> None:
    assert lacks(parse_requirements(needs), machine) == missing


def test_needs_are_shown_as_people_say_them() -> None:
    needs = parse_requirements({"gpu": 2, "gpu_memory": "8GB", "memory": "1TB", "cpu": 1.5})
    assert str(needs) == "2 GPUs with 8 GB of memory, 1 TB of memory, 1.5 cores"
    assert str(parse_requirements({"gpu": True, "labels": ["x"]})) == "1 GPU, the label 'x'"


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("gpu", Requirements(gpu=1)),
        ("gpu_memory=16GB, gpu=2", Requirements(gpu=2, gpu_memory=16 * GB)),
        ("memory=8GB,cpu=1.5", Requirements(memory=8 * GB, cpu=1.5)),
        ("label=a100,label=fast", Requirements(labels=("a100", "fast"))),
    ],
)
def test_needs_are_read_from_the_line_of_a_cell(text: str, needs: Requirements) -> None:
    assert parse_needs(text) == needs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--needs is what a call needs, as in 'gpu_memory=16GB,gpu=1'."),
        ("gpu_memory=16", "--needs: gpu_memory is a size above 0 with its unit"),
        ("gpus=1", "--needs has no 'gpus'. Did you mean 'gpu'?"),
        ("gpu=0", "--needs: gpu is True or how many GPUs, from 1 to 1000, not 0."),
        ("cpu=many", "--needs: cpu is a number of cores above 0, as 2, not 'many'."),
    ],
)
def test_needs_that_are_none_are_refused_where_they_are_written(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_needs(text)


def test_sizes_have_units_of_1000_and_of_1024() -> None:
    assert [parse_size(text) for text in ("8", "8B", "8k", "8 GB", "1.5gib")] == [
        *(8, 8, 8000, 8 * GB),
        1.5 * 2**30,
    ]
    with pytest.raises(ValueError, match="8X"):
        parse_size("8X")
    assert [show_size(size) for size in (12, 1500, 8 * GB, 34359738368)] == [
        *("12 bytes", "1.5 KB", "8 GB", "34.4 GB"),
    ]


def test_needs_are_written_as_text_or_as_a_dict() -> None:
    needs = Requirements(cpu=2.0, memory=8 * GB)
    assert read_needs("cpu=2,memory=8GB") == read_needs({"cpu": 2, "memory": "8GB"}) == needs
    assert read_needs(needs) is needs
    with pytest.raises(UsageError, match="needs: memory is a size above 0 with its unit"):
        read_needs({"memory": "8 apples"})
    with pytest.raises(UsageError, match=r"needs has no 'gpus'\. Did you mean 'gpu'"):
        read_needs("gpus=1")
