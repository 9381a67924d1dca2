"""Reads the JSON body of a request; everything that a body can cost has a limit.

The gateway makes no Python objects of a body: it checks the bytes and passes them on. `Shape`
counts values and depth while the bytes come, so a body that is too large is refused before all of
it is here. ``tests/gateway/http/test_bodies.py`` proves it.
"""

from __future__ import annotations

import asyncio
from itertools import accumulate

import msgspec
from aiohttp import web

#: The largest body where a function asks for no other limit, in bytes.
MAX_BODY = 1024 * 1024
#: Bytes of bodies that are read at a time; also the largest limit that a function can ask for.
READING_LIMIT = 64 * 1024 * 1024
#: Seconds for a body of up to a MiB; a function that takes more gets a second more for each MiB.
BODY_TIMEOUT = 15.0
#: Objects and lists within one another.
MAX_DEPTH = 64
#: Values in a body. A value is counted by its comma; each list and object counts once more.
MAX_VALUES = 500_000

_BRACKETS = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(b"[]{},"))
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
#: Writes each digit as 0. With it, a number that may be too large for a float, or for `int()`,
#: contains one of `_LARGE_NUMBERS`; so may a text.
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_NUMBERS = (b"0" * 200, b"0e000", b"0e+000")

_raw = msgspec.json.Decoder(msgspec.Raw)


class Refusal(Exception):
    """A body that is not taken.

    Parameters
    ----------
    status
        Of the answer.
    code
        Of the problem document.
    detail
        What is wrong, and what to do.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class Bodies:
    """Reads bodies; all that are read at a time share one limit."""

    def __init__(self) -> None:
        self._size = 0

    async def read(self, request: web.Request, limit: int) -> bytes:
        """The JSON object that is the body of a request; an empty body is an empty object.

        Raises
        ------
        Refusal
            It is too large, too slow, too deep, or no JSON object.
        """
        if "Content-Encoding" in request.headers:
            raise Refusal(415, "encoding", "Send the body as it is, without Content-Encoding.")
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        allowed = BODY_TIMEOUT + limit / 2**20 - 1
        try:
            async with asyncio.timeout(allowed):
                return check_object(await self._collect(request, limit))
        except TimeoutError:
            text = f"The body did not come within {allowed:.0f} s."
            raise Refusal(408, "timeout", text) from None
        except web.RequestPayloadError as error:
            raise Refusal(400, "usage", f"The body can't be read: {error}") from None

    async def _collect(self, request: web.Request, limit: int) -> bytes:
        parts, size, shape = [], 0, Shape()
        try:
            async for part in request.content.iter_any():
                size += len(part)
                self._size += len(part)
                if size > limit:
                    raise _too_large(limit)
                if self._size > READING_LIMIT:
                    raise Refusal(503, "busy", "Too many large bodies at a time. Try again.")
                shape.add(part)
                parts.append(part)
        finally:
            self._size -= size
        return b"".join(parts)


class Shape:
    """How many values a JSON text has, and how deep they lie; the text comes in parts.

    It counts outside of texts in quotes, and does not check the grammar.
    """

    def __init__(self) -> None:
        self._values = self._depth = 0
        self._in_text = self._is_escaped = False

    def add(self, part: bytes) -> None:
        """Look at one more part.

        Raises
        ------
        Refusal
            There are too many values, or they lie too deep.
        """
        if self._is_escaped:
            part = part[1:]
        plain = part.replace(rb"\\", b"")
        self._is_escaped = plain.endswith(b"\\")
        pieces = plain.replace(rb"\"", b"").split(b'"')
        structure = b"".join(pieces[self._in_text :: 2]).translate(None, _OTHERS)
        self._in_text ^= len(pieces) % 2 == 0
        brackets = structure.translate(None, _NO_BRACKETS)
        self._values += len(structure) - len(brackets) // 2
        if self._values > MAX_VALUES:
            raise Refusal(413, "too-large", f"The body has more than {MAX_VALUES} values.")
        *_, self._depth = depths = [
            *accumulate(map(_STEP.__getitem__, brackets), initial=self._depth)
        ]
        if max(depths) > MAX_DEPTH:
            text = f"The body has more than {MAX_DEPTH} lists or objects within one another."
            raise Refusal(413, "too-large", text)


def check_object(body: bytes) -> bytes:
    """A JSON object, checked; an empty body is an empty object.

    Raises
    ------
    Refusal
        It is no JSON object. NaN, half a surrogate, and a number beyond the range of float are
        no JSON here.
    """
    text = body.strip()
    if not text:
        return b"{}"
    try:
        text.decode()
        _raw.decode(text)  # it checks the grammar, and makes no objects
        digits = text.translate(_DIGITS)
        if any(number in digits for number in _LARGE_NUMBERS):
            msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        detail = f"The body is no JSON object of arguments: {error}"
        raise Refusal(400, "usage", detail) from None
    if not text.startswith(b"{"):
        kind = {b"[": "a list", b'"': "a text"}.get(text[:1], "another value")
        detail = f"The body is no JSON object of arguments: it is {kind}."
        raise Refusal(400, "usage", detail)
    return text


def _too_large(limit: int) -> Refusal:
    size = f"{limit} bytes" if limit < 2**20 else f"{limit / 2**20:g} MiB"
    return Refusal(413, "too-large", f"The body is above {size}.")
