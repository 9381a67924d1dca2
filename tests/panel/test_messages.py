"""What goes to the browser: the samples that the TypeScript tests read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import easyremote
from easyremote import errors
from easyremote.panel import messages

SAMPLES = Path(__file__).parent / "samples"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["connecting", "snapshot", "unavailable"])
def test_a_message_is_written_as_its_sample_says(name: str) -> None:
    message = msgspec.convert(sample(name), messages.Message)
    assert json.loads(messages.encode(message)) == sample(name)


def test_what_is_polled_is_written_as_its_sample_says() -> None:
    polled = msgspec.convert(sample("polled"), messages.Polled)
    assert msgspec.to_builtins(polled) == sample("polled")


def test_bars_and_pages_of_a_log_are_written_as_their_samples_say() -> None:
    progress = msgspec.convert(sample("progress"), messages.BarsMoved)
    assert json.loads(messages.encode(progress)) == sample("progress")
    page = msgspec.convert(sample("log"), messages.LogPage)
    assert json.loads(msgspec.json.encode(page)) == sample("log")


def test_sessions_and_their_variables_are_written_as_their_samples_say() -> None:
    sessions = msgspec.convert(sample("sessions"), messages.SessionList)
    assert json.loads(msgspec.json.encode(sessions)) == sample("sessions")
    variables = msgspec.convert(sample("variables"), messages.VariableList)
    assert json.loads(msgspec.json.encode(variables)) == sample("variables")


def test_what_was_used_is_written_as_its_sample_says() -> None:
    used = msgspec.convert(sample("usage"), messages.UsageList)
    assert json.loads(msgspec.json.encode(used)) == sample("usage")


def test_a_retry_is_read_from_its_sample() -> None:
    msgspec.convert(sample("retry"), messages.Retry)


def test_a_snapshot_keeps_nothing_that_the_panel_does_not_show() -> None:
    raw = sample("snapshot")
    del raw["kind"], raw["gateway"]["address"], raw["server"]
    raw["gateway"]["api_key"] = raw["nodes"][0]["token"] = raw["secret"] = "er_secret"
    encoded = messages.encode(messages.snapshot(raw, "my-vps:8080"))
    assert json.loads(encoded) == sample("snapshot") | {"server": easyremote.__version__}


def test_a_snapshot_of_another_shape_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        messages.snapshot({"gateway": {"version": "1"}, "nodes": "none"}, "my-vps:8080")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.UsageError, "not-configured"),
        (errors.NotAuthorized, "not-authorized"),
        (errors.GatewayUnreachable, "unreachable"),
        (errors.VersionMismatch, "version-mismatch"),
        (errors.CallLost, "unreachable"),
        (errors.InternalError, "failed"),
    ],
)
def test_each_cause_has_its_reason(error: type[errors.EasyRemoteError], reason: str) -> None:
    message = messages.unavailable(error("What happened.", node_id="n"), 4)
    assert message == messages.Unavailable(reason, "What happened.", 4)  # type: ignore[arg-type]
