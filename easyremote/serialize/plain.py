"""Values as JSON, for HTTP and for callers that must not unpickle.

NumPy arrays become lists, pandas frames lists of records, series objects by label; dates, UUIDs,
dataclasses and bytes (base64) as msgspec writes them. NaN becomes null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from easyremote.errors import CannotShip


def dump_plain(value: object) -> bytes:
    """A value as JSON.

    Raises
    ------
    CannotShip
        Something in it has no JSON form.
    """
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise CannotShip(f"it has no JSON form ({error}). Return numbers, text, lists...") from None


def _plain(value: Any) -> object:
    module = type(value).__module__.partition(".")[0]
    if module == "pandas":
        name = type(value).__name__
        if name == "DataFrame":
            # to_json knows every dtype; orient="records" is what a web page expects.
            return msgspec.Raw(value.to_json(orient="records", date_format="iso").encode())
        if hasattr(value, "to_json"):
            return msgspec.Raw(value.to_json(date_format="iso").encode())
        if hasattr(value, "isoformat"):
            return value.isoformat()
        if hasattr(value, "tolist"):
            return value.tolist()
    if module == "numpy":
        if hasattr(value, "dtype") and value.dtype.kind in "mM":
            return value.astype(str).tolist()
        return value.tolist()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__}")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
