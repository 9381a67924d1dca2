"""Values come back equal; big buffers travel without a copy and lie aligned."""

from __future__ import annotations

import mmap
import subprocess
import sys
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from easyremote.errors import CannotShip, ProtocolError
from easyremote.serialize.values import (
    ALIGNMENT,
    OUT_OF_BAND_MIN,
    Dumped,
    dump,
    dump_call,
    dump_names,
    load,
    load_call,
)
from tests.processes import REPOSITORY


def joined(dumped: Dumped) -> bytes:
    payload = b"".join(dumped.parts)
    assert len(payload) == dumped.size
    return payload


def mapped(dumped: Dumped) -> memoryview:
    """The payload as it is when it came as a stream: in writable, page-aligned memory."""
    area = mmap.mmap(-1, dumped.size)
    area.write(joined(dumped))
    return memoryview(area)


def round_trip(value: Any) -> Any:
    from_map, from_bytes = load(mapped(dump(value))), load(joined(dump(value)))
    assert type(from_map) is type(from_bytes)
    return from_map


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


atoms = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False) | st.dates() | st.decimals(allow_nan=False) | st.uuids()
)  # fmt: skip
hashables = atoms | st.tuples(atoms, atoms) | st.frozensets(st.integers())
nested = st.recursive(
    atoms,
    lambda inner: st.lists(inner) | st.dictionaries(hashables, inner) | st.tuples(inner, inner)
    | st.sets(hashables),
)  # fmt: skip


@given(st.lists(nested).map(tuple), st.dictionaries(st.text(), nested))
def test_any_arguments_of_builtin_types_come_back(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert load_call(joined(dump_call(args, kwargs))) == (args, kwargs)
    assert load(joined(dump(kwargs))) == kwargs
    assert load(joined(dump_names(kwargs))) == kwargs


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [0, 1, OUT_OF_BAND_MIN - 1, OUT_OF_BAND_MIN, 1_000_000])
def test_bytes_likes_come_back_as_what_they_were(kind: Any, size: int) -> None:
    value = kind(b"x" * size)
    for payload in (mapped(dump(value)), joined(dump(value))):
        back = load(payload)
        assert type(back) is kind and back == value
    (back,), also = load_call(joined(dump_call((value,), {"also": [value]})))
    assert back == value == also["also"][0]


def test_a_memoryview_keeps_format_shape_and_writability() -> None:
    base = np.arange(12_000, dtype="int32").reshape(30, 400)
    for view in (memoryview(base), memoryview(base).toreadonly(), memoryview(base[:, ::2])):
        for payload in (mapped(dump(view)), joined(dump([view, view]))):
            back = load(payload)
            back = back[0] if isinstance(back, list) else back
            assert (back.format, back.shape, back.readonly) == (
                view.format,
                view.shape,
                view.readonly,
            )
            assert back.tolist() == view.tolist()


ARRAYS = {
    "contiguous": np.arange(10_000.0),
    "fortran": np.asfortranarray(np.arange(10_000.0).reshape(100, 100)),
    "strided": np.arange(20_000.0)[::2],
    "transposed part": np.arange(10_000.0).reshape(100, 100).T[3:],
    "small": np.arange(3),
    "zero-size": np.zeros((0, 5)),
    "zero-dimensional": np.array(3.5),
    "objects": np.array([1, "two", None, [3]], dtype=object),
    "structured": np.zeros(1000, dtype=[("a", "i4"), ("b", "U7")]),
    "times": np.arange("2020-01-01", "2040-01-01", dtype="M8[D]"),
    "booleans": np.ones(10_000, bool),
    "big-endian": np.arange(10_000, dtype=">i8"),
    "masked": np.ma.masked_less(np.arange(10_000), 5),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("through", [mapped, joined])
def test_arrays_come_back(name: str, through: Any) -> None:
    array = ARRAYS[name]
    back = load(through(dump(array)))
    assert type(back) is type(array)
    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable and back.flags.f_contiguous >= array.flags.f_contiguous


@pytest.mark.parametrize("through", [mapped, joined])
@pytest.mark.parametrize("size", [10, 10 * 1024])
def test_a_read_only_array_stays_read_only_and_others_can_be_written(
    size: int, through: Any
) -> None:
    open_, closed = np.zeros(size, "u1"), np.zeros(size, "u1")
    closed.flags.writeable = False
    back_open, back_closed = load(through(dump((open_, closed))))
    back_open[0] = 1
    assert not back_closed.flags.writeable
    assert back_closed[0] == 0


def test_a_big_array_is_sent_from_its_own_memory() -> None:
    array, text = np.arange(100_000.0), b"y" * 100_000
    dumped = dump_call((array, text), {})
    views = [part for part in dumped.parts if isinstance(part, memoryview)]
    assert len(views) == 2
    assert np.shares_memory(np.frombuffer(views[0]), array)
    assert np.shares_memory(np.frombuffer(views[1], "u1"), np.frombuffer(text, "u1"))
    assert dumped.size - array.nbytes - len(text) < 1000


def test_a_loaded_array_lies_aligned_within_the_payload() -> None:
    sizes = [OUT_OF_BAND_MIN, OUT_OF_BAND_MIN + 1, 12_345, 100_001]
    arrays = [np.full(size, index, "u1") for index, size in enumerate(sizes)]
    payload = mapped(dump(arrays))
    whole = np.frombuffer(payload, "u1")
    back = load(payload)
    for array, original in zip(back, arrays, strict=True):
        assert np.shares_memory(array, whole)
        assert address(array) % ALIGNMENT == 0
        np.testing.assert_array_equal(array, original)


def test_the_payload_can_be_loaded_again_and_outlives_its_name() -> None:
    payload = bytearray(joined(dump(np.arange(10_000))))
    first, second = load(payload), load(payload)
    del payload
    first[0] = 7
    assert second[0] == 7  # both are views


def test_a_small_value_has_no_header() -> None:
    assert dump_call((1, 2), {}).size < 25
    assert len(dump_call((1, 2), {}).parts) == 1


FRAME = pd.DataFrame(
    {
        "int": np.arange(3000),
        "float": np.linspace(0, 1, 3000),
        "bool": np.arange(3000) % 2 == 0,
        "str": [f"row {index}" for index in range(3000)],
        "object": [[index] for index in range(3000)],
        "category": pd.Categorical(["a", "b", "c"] * 1000),
        "Int64": pd.array([1, None, 3] * 1000, dtype="Int64"),
        "boolean": pd.array([True, None, False] * 1000, dtype="boolean"),
        "date": pd.date_range("2020", periods=3000, freq="h"),
        "zone": pd.date_range("2020", periods=3000, freq="h", tz="Europe/Vienna"),
        "delta": pd.to_timedelta(np.arange(3000), unit="s"),
        "period": pd.period_range("2020", periods=3000, freq="D"),
        "interval": pd.interval_range(0, 3000, 3000),
        "sparse": pd.arrays.SparseArray([0, 0, 1] * 1000),
        "complex": np.arange(3000) * 1j,
    }
)


@pytest.mark.parametrize("through", [mapped, joined])
def test_a_frame_of_every_dtype_comes_back(through: Any) -> None:
    pd.testing.assert_frame_equal(load(through(dump(FRAME))), FRAME)


def test_a_multi_indexed_frame_and_a_series_come_back() -> None:
    frame = FRAME.set_index(["category", "date"])[["float", "Int64"]]
    back, series = round_trip((frame, FRAME["zone"]))
    pd.testing.assert_frame_equal(back, frame)
    pd.testing.assert_series_equal(series, FRAME["zone"])
    back["float"] += 1  # it can be worked with in place


def test_two_names_for_one_object_stay_so() -> None:
    table, text = {"rows": np.arange(10_000)}, bytearray(10_000)
    names = {"table": table, "rows": table["rows"], "all": [table], "text": text, "also": [text]}
    back = load(mapped(dump_names(names)))
    assert back["all"][0] is back["table"] and back["rows"] is back["table"]["rows"]
    assert back["also"][0] is back["text"]
    raw = b"z" * 10_000
    assert dump_names({"one": raw, "two": raw}).size < 11_000


def test_what_is_no_payload_is_refused() -> None:
    whole = joined(dump(np.arange(10_000)))
    for broken in (
        b"",
        b"\x01",
        b"\x01" * 10,
        b"\x07" * 100,
        whole[:-1],
        whole + b"\0",
        b"\x01\0\0\0\xff\xff\xff\xff" + bytes(8),
    ):
        with pytest.raises(ProtocolError):
            load(broken)
    with pytest.raises(ProtocolError):
        load_call(joined(dump([1])))


class _Garbage:
    def __init__(self, state: Any) -> None:
        self.__state = state

    def __getstate__(self) -> Any:
        return 42

    def __setstate__(self, state: Any) -> None:
        raise KeyError(state)


def test_what_cannot_be_rebuilt_is_a_clear_error() -> None:
    payload = joined(dump(_Garbage(1)))
    with pytest.raises(CannotShip, match=r"can't be rebuilt on this side: KeyError: 42.*getstate"):
        load(payload)


def test_a_missing_module_is_named() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        load(b"\x80\x05cno_such_module\nthing\n.")
    assert "no_such_module" in str(caught.value) + "".join(caught.value.__notes__)


def test_what_is_deep_in_plain_values_travels_as_it_does_by_itself() -> None:
    def half(value: float) -> float:
        return value / 2

    half.__module__ = "__main__"  # as in a notebook: it travels by value
    for value in ([{"f": (half,)}], {"f": [[half]]}, [[[[[[half]]]]]], {(1, half): 2}):
        text = repr(load(joined(dump(value))))
        assert "half" in text and text != repr(value), value
    knot: list[Any] = [1]
    knot.append({"again": knot})
    back = load(joined(dump(knot)))
    assert back[1]["again"] is back
    same = ["x"]
    back = load(joined(dump({"one": same, "other": same, "plain": [1, None, b"2"]})))
    assert back["one"] is back["other"]


def test_plain_values_import_neither_dill_nor_numpy() -> None:
    code = (
        "import sys; from easyremote.serialize.values import *\n"
        "part, = dump_call((1, 'two', [3], {'four': 5.0}), {'k': (None,)}).parts; load_call(part)\n"
        "print(sorted({'dill', 'numpy', 'inspect', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
