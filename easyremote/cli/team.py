"""What ``easyremote demo --team`` does: five people, one machine with two slots, a fair queue.

One of them has far more to do than the others, and was there first. Each sees why they wait.
``tests/cli/test_demo.py`` proves it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import click

from easyremote.cli.live import LiveLines
from easyremote.cli.stage import gateway_of_its_own, process, wait_for_nodes
from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.gateway.keys import KeyStore

__all__ = ["run"]

#: Seconds between two looks at what everybody has.
LOOK = 0.25
#: Who they are, how many calls each has, and how many seconds one of theirs takes.
PEOPLE = (("anna", 16, 0.5), ("ben", 4, 0.5), ("carla", 3, 0.7), ("david", 2, 0.3), ("eva", 1, 0.4))
NODE = """
import time
from easyremote import ComputeNode
node = ComputeNode(node_id="gpu-node", max_workers=2)
@node.register
def train(seconds):
    time.sleep(seconds)
    return seconds
node.serve()
"""


@dataclass
class _Person:
    name: str
    seconds: float
    client: Client
    jobs: list[RemoteJob[float]] = field(default_factory=list)
    began: float = 0.0
    #: Seconds from their first call to their first value, and to their last.
    first: float = 0.0
    last: float = 0.0
    #: What they were told when they waited, the first time.
    told: str = ""

    def begin(self, calls: int) -> None:
        self.began = time.monotonic()
        self.jobs = [self.client.on("gpu-node").submit("train", self.seconds) for _ in range(calls)]

    def look(self) -> str:
        """How far they are; it notes what is over."""
        done = sum(job.done() for job in self.jobs)
        since = time.monotonic() - self.began
        if done and not self.first:
            self.first = since
        if done == len(self.jobs) and not self.last:
            self.last = since
        line = f"  {self.name:6} {done:2} of {len(self.jobs):2}"
        if self.last:
            return f"{line}  all done after {self.last:.1f} s"
        waits = [each for each in self.client.list_jobs() if each.state == "queued" and each.why]
        if not waits:
            return f"{line}  the rest runs"
        self.told = self.told or waits[0].why
        return f"{line}  waits: {waits[0].why}"


def run() -> None:
    """Show the queue until everybody has everything."""
    with ExitStack() as stack:
        home, client = stack.enter_context(gateway_of_its_own())
        stack.enter_context(process("-c", NODE))
        wait_for_nodes(client, {"gpu-node"})
        keys = KeyStore(home / "gateway.sqlite3")
        stack.callback(keys.close)
        people = [
            _Person(
                name,
                seconds,
                stack.enter_context(
                    Client(client.settings.gateway, str(keys.create("client", name)))
                ),
            )
            for name, _, seconds in PEOPLE
        ]
        click.secho("Five people share gpu-node, which runs two calls at a time.\n", fg="green")
        for person, (_, calls, _) in zip(people, PEOPLE, strict=True):
            person.begin(calls)  # anna first, with the most
        _show(people)
    _sum_up(people)


def _show(people: Sequence[_Person]) -> None:
    lines = LiveLines(sys.stdout)
    while not all(person.last for person in people):
        for person in people:
            lines.show(person.name, person.look())
        time.sleep(LOOK)
    lines.settle()


def _sum_up(people: Sequence[_Person]) -> None:
    click.echo()
    for person in people:
        work = f"{len(person.jobs)} x {person.seconds:g} s"
        click.echo(
            f"  {person.name:6} {work:>10}  first value after {person.first:.1f} s, "
            f"last after {person.last:.1f} s"
        )
        if person.told:
            click.echo(f"         was told: {person.told}")
    click.secho(
        "\nanna came first with most of the work, and held up nobody: keys take turns in "
        "run-seconds. Nothing is left running.",
        fg="green",
    )
