"""Errors over HTTP: problem documents (RFC 9457), all of one shape.

``tests/gateway/http/test_api.py`` holds every error to it.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from easyremote.errors import EasyRemoteError, to_wire

#: The HTTP status of each error code.
STATUS = {
    "usage": 400,
    "cannot-ship": 400,
    "not-authorized": 401,
    "not-found": 404,
    "too-large": 413,
    "busy": 503,
    "offline": 503,
    "storage": 503,
    "storage-full": 503,
    "storage-damaged": 500,
    "raised": 500,
    "cannot-return": 500,
    "internal": 500,
    "crashed": 502,
    "poison": 502,
    "out-of-memory": 507,
    "lost": 502,
    "timeout": 504,
    "cancelled": 499,
}
#: After how many seconds to try again, where that can help.
RETRY_AFTER = {429: "60", 503: "1"}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    may_have_run: bool | None = None,
    retry_after: str = "",
    **more: object,
) -> web.Response:
    """A problem document; ``retry_after`` are seconds, empty for the status's own."""
    body = {"type": f"urn:easyremote:{code}", "title": code, "status": status, "detail": detail}
    headers = {"Cache-Control": "no-store"}
    if may_have_run is not None:
        headers["EasyRemote-May-Have-Run"] = "yes" if may_have_run else "no"
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in RETRY_AFTER:
        headers["Retry-After"] = retry_after or RETRY_AFTER[status]
    return web.Response(
        status=status,
        body=msgspec.json.encode(body | more),
        content_type="application/problem+json",
        headers=headers,
    )


def problem_of(error: EasyRemoteError) -> web.Response:
    """The problem document of one of our errors."""
    code, message, details = to_wire(error)
    after = details.get("retry_after")
    return problem(
        STATUS.get(code, 500),
        code,
        message,
        may_have_run=bool(details.get("may_have_run", error.may_have_run)),
        retry_after=str(after) if type(after) is int else "",
    )
