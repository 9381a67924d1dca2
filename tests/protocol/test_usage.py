"""What was used, as it travels."""

from __future__ import annotations

from easyremote.protocol.usage import UsageRow


def test_a_row_counts_every_call_that_ended_however_it_did() -> None:
    row = UsageRow("a", values=2, errors=1, cancelled=1, timed_out=1, lost=1, refused=1)
    assert row.calls == 7
