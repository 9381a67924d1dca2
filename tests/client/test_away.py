"""A client whose gateway goes away and comes back: what is called meanwhile waits for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.errors import CallTimeout
from easyremote.transport import dial
from easyremote.transport.dial import redial_delay
from tests.processes import LIMIT, Gateway, end, start_gateway, wait_until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    started = start_gateway(tmp_path / "home")
    yield started
    end(started.process)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_calls_that_are_submitted_while_the_gateway_is_away_wait_for_it(
    own: Gateway, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[int] = []

    def noted(tries: int, away: float) -> float:
        failed.append(tries)
        return redial_delay(tries, away)

    monkeypatch.setattr(dial, "redial_delay", noted)
    node, client = own.start_node("gpu-node"), own.client()
    again: Gateway | None = None
    try:
        assert client.execute("add", 1, 2) == 3
        own.process.send_signal(how)
        own.process.wait(LIMIT)
        wait_until(lambda: max(failed) >= 2)  # it was dialled again in vain
        waiting = [client.call("add", (number, 1)) for number in range(20)]
        impatient = client.call("add", (1, 2), timeout=0.2)
        with pytest.raises(CallTimeout, match="could not be sent within 0.2 s") as caught:
            impatient.result(LIMIT)
        assert caught.value.may_have_run is False
        assert not any(job.done() for job in waiting)
        again = start_gateway(own.home, int(own.address.split(":")[1]))
        assert [job.result(LIMIT) for job in waiting] == [number + 1 for number in range(20)]
    finally:
        client.close()
        end(node)
        if again is not None:
            end(again.process)
