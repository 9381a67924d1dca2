"""Every path of the extension refuses whoever is not logged in, and pages of other origins.

The list is the extension's own, so a path that is added is in here by itself.
"""

from __future__ import annotations

import aiohttp
import pytest
from tornado.web import RequestHandler

from easyremote_jupyter.server import EasyRemoteApp
from tests import processes

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]

ELSEWHERE = {"Origin": "https://evil.example"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def routes() -> list[tuple[str, str]]:
    """Each method of each path, with the id of a job where it has one."""
    app = EasyRemoteApp()
    app.initialize_settings()
    app.initialize_handlers()
    return [
        (method, pattern.replace("([0-9a-f]{32})", "0" * 32))
        for pattern, handler, *_ in app.handlers
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if getattr(handler, method.lower()) is not RequestHandler._unimplemented_method
    ]


ROUTES = routes()
every_route = pytest.mark.parametrize(("method", "path"), ROUTES)


async def log_in(session: aiohttp.ClientSession, jupyter: processes.Jupyter) -> str:
    """Get the cookie that a browser gets; the token that a page of ours would send with it."""
    async with session.get(f"{jupyter.url}tree?token={jupyter.token}") as response:
        assert response.status in (200, 404)
    cookies = {cookie.key: cookie.value for cookie in session.cookie_jar}
    assert any(name.startswith("username-") for name in cookies), cookies
    return cookies["_xsrf"]


async def answer(
    session: aiohttp.ClientSession,
    jupyter: processes.Jupyter,
    method: str,
    path: str,
    **headers: str,
) -> tuple[int, str]:
    if path.endswith("/stream"):
        headers = UPGRADE | headers
    async with session.request(method, jupyter.url + path, headers=headers) as response:
        is_open = response.status == 101
        return response.status, "" if is_open else await response.text()


async def test_the_list_of_paths_has_all_that_the_panel_asks_for() -> None:
    assert len(ROUTES) == len(set(ROUTES)) >= 19
    assert {path.removeprefix("easyremote/").partition("/")[0] for _, path in ROUTES} == {
        *("nodes", "jobs", "functions", "runs", "sessions", "setup", "stream", "poll", "usage")
    }


@every_route
async def test_nobody_gets_anything_without_logging_in(
    session: aiohttp.ClientSession, jupyter: processes.Jupyter, method: str, path: str
) -> None:
    status, text = await answer(session, jupyter, method, path)
    assert status == 403, text
    assert "gpu-node" not in text


@every_route
@pytest.mark.parametrize("has_xsrf", [False, True])
async def test_a_page_of_another_origin_gets_nothing_with_the_users_cookie(
    session: aiohttp.ClientSession,
    jupyter: processes.Jupyter,
    method: str,
    path: str,
    has_xsrf: bool,
) -> None:
    xsrf = await log_in(session, jupyter)
    token = {"X-XSRFToken": xsrf} if has_xsrf else {}
    status, text = await answer(session, jupyter, method, path, **ELSEWHERE, **token)
    assert status in (403, 404), text
    assert "gpu-node" not in text
    assert "stopped" not in text


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "POST"])
async def test_nothing_is_done_without_the_token_of_the_page(
    session: aiohttp.ClientSession, jupyter: processes.Jupyter, path: str
) -> None:
    xsrf = await log_in(session, jupyter)
    status, text = await answer(session, jupyter, "POST", path)
    assert (status, "_xsrf" in text) == (403, True)
    status, text = await answer(session, jupyter, "POST", path, **{"X-XSRFToken": xsrf})
    assert (status != 403, "_xsrf" in text) == (True, False)


@every_route
async def test_a_page_of_ours_is_let_in_by_the_same_cookie(
    session: aiohttp.ClientSession, jupyter: processes.Jupyter, method: str, path: str
) -> None:
    """Else the tests above would prove nothing."""
    xsrf = await log_in(session, jupyter)
    own = {"Origin": jupyter.url.removesuffix("/user/ada/"), "X-XSRFToken": xsrf}
    status, text = await answer(session, jupyter, method, path, **own)
    assert status != 403, text
