"""Every step between here and a node; what is shown of it is in ``tests/cli/test_doctor.py``."""

from __future__ import annotations

import pytest

from easyremote.client.diagnosis import Finding, diagnose
from tests.processes import Gateway, end


@pytest.fixture
def home(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    return gateway


def test_steps_come_one_by_one_and_in_order(home: Gateway, node: object) -> None:
    findings = diagnose()
    first = next(findings)
    assert first == Finding("ok", f"gateway {home.address}, from the gateway on this machine")
    rest = list(findings)
    assert [each.verdict for each in rest] == ["ok"] * 3
    assert rest[-1].text.startswith("node gpu-node runs code; a call took")


def test_the_first_wrong_step_is_the_last(home: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYREMOTE_GATEWAY", "127.0.0.1:1")
    monkeypatch.setenv("EASYREMOTE_API_KEY", home.keys["client"])
    *good, wrong = diagnose()
    assert [each.verdict for each in good] == ["ok", "ok"]
    assert wrong.verdict == "wrong" and "No gateway answers at 127.0.0.1:1" in wrong.text


def test_a_node_without_code_and_one_that_went_are_told_apart(home: Gateway) -> None:
    plain = home.start_node("plain", "--no-code")
    try:
        *_, last = diagnose("plain")
        assert last.verdict == "ok" and "runs registered functions only: add," in last.text
    finally:
        end(plain)
    *_, last = diagnose("plain")
    assert last.verdict == "wrong" and "node plain has been offline for" in last.text
