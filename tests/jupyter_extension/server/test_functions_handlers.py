"""Functions through a real Jupyter server: what there is, and runs with plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import processes
from tests.jupyter_extension.server.test_handlers import Browser

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


@pytest.fixture
def browser(jupyter: processes.Jupyter, session: aiohttp.ClientSession) -> Browser:
    return Browser(jupyter, session)


async def run(browser: Browser, function: str, node_id: str = "gpu-node", **arguments: Any) -> Any:
    """Start a run; the status, and what it said."""
    body = {"node_id": node_id, "function": function, "arguments": arguments}
    url = f"{browser.url}functions/run"
    async with browser.session.post(url, json=body, headers=browser.login) as response:
        return response.status, await response.json()


async def value(browser: Browser, function: str, **arguments: Any) -> tuple[str, str]:
    """How a run ended."""
    status, told = await run(browser, function, **arguments)
    assert status == 200, told
    while told["state"] == "running":
        status, told = await browser.get(f"runs/{told['call_id']}")
        assert status == 200, told
    return told["state"], told["text"]


async def test_functions_are_told_with_what_a_form_needs(browser: Browser) -> None:
    status, body = await browser.get("functions")
    assert status == 200
    hold, train = body["functions"]
    assert (hold["name"], hold["node_id"], hold["signature"]) == ("hold", "gpu-node", "(gate)")
    assert train["doc"].startswith("Train a model.\n\n<script>")
    assert train["parameters"]["required"] == ["epochs"]
    assert train["parameters"]["properties"]["rate"] == {"type": "number", "default": 0.1}


async def test_a_run_brings_its_value_as_json(browser: Browser) -> None:
    state, text = await value(browser, "train", epochs=3, names=["ä", "<b>"])
    assert state == "done"
    assert '"epochs": 3' in text
    assert '"ä"' in text


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("train", {"epochs": -1}, "ValueError: epochs is at least 0"),
        ("train", {}, "missing a required argument: 'epochs'"),
        ("trian", {}, "Did you mean 'train'?"),
    ],
)
async def test_a_run_that_fails_says_why(
    browser: Browser, function: str, arguments: dict[str, Any], expected: str
) -> None:
    state, text = await value(browser, function, **arguments)
    assert state == "failed"
    assert expected in text


async def test_a_run_is_a_job_that_can_be_cancelled(browser: Browser, tmp_path: Path) -> None:
    _, told = await run(browser, "hold", gate=str(tmp_path / "never"))
    path = f"{browser.url}jobs/{told['call_id']}/cancel"
    async with browser.session.post(path, headers=browser.login) as response:
        assert (await response.json()) == {"stopped": True}
    status, ended = await browser.get(f"runs/{told['call_id']}")
    assert (status, ended["state"]) == (200, "failed")
    assert "cancelled" in ended["text"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"node_id": 1}', b"\x80\x04.", b'{"node_id":"","function":"f"}']
)
async def test_what_is_no_call_is_refused(browser: Browser, body: bytes) -> None:
    url = f"{browser.url}functions/run"
    async with browser.session.post(url, data=body, headers=browser.login) as response:
        assert response.status == 400


async def test_nothing_but_registered_functions_is_run(browser: Browser) -> None:
    status, _ = await run(browser, "$cell", code="1")
    assert status == 400
    status, _ = await browser.get(f"runs/{'0' * 32}")
    assert status == 404
