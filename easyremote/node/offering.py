"""What a node offers: its functions, and what of the machine its owner lends.

``tests/node/test_compute_node.py`` proves it with real processes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from msgspec import structs

from easyremote.node.functions import Functions, RegisteredFunction
from easyremote.node.in_force import RulesInForce
from easyremote.node.policy import CODE_CONCURRENCY, NodePolicy
from easyremote.node.processes.sessions import Sessions
from easyremote.options.requirements import lacks, show_size
from easyremote.protocol.builtins import OF_NODES, RULES
from easyremote.protocol.messages import NAME_LIMIT, Function, Gpu, Register, Withheld

__all__ = ["Offering"]

_log = logging.getLogger("easyremote.node")


class Offering:
    """What one node offers.

    Parameters
    ----------
    node_id
        For the log.
    functions
        What is registered.
    policy
        What the node does for others.
    rules
        How much of the machine its owner lends.
    sessions
        What knows how a function runs here, and what it was seen to need.
    """

    def __init__(
        self,
        node_id: str,
        functions: Functions,
        policy: NodePolicy,
        rules: RulesInForce,
        sessions: Sessions,
    ) -> None:
        self._node_id, self._functions = node_id, functions
        self._policy, self._rules, self._sessions = policy, rules, sessions
        #: The cores, the memory and the GPUs that there are.
        self.machine: tuple[int, int, tuple[Gpu, ...]] = (0, 0, ())
        #: What the owner was told already of functions that are not offered.
        self._told: set[Withheld] = set()
        #: The functions of which it was told that they hold more than they need.
        self._warned: set[str] = set()

    @property
    def processes(self) -> int:
        """How many processes there may be for one owner's shipped functions."""
        return self._rules.rules.share_of(self._policy.processes)

    def register(self, journal: bytes) -> Register:
        """What is offered now; the owner is told what is not."""
        policy, rules = self._policy, self._rules.rules
        cores, memory, gpus = self.machine
        said = Register(
            (),
            rules.share_of(policy.slots),
            policy.labels,
            rules.share_of(cores),
            rules.memory_of(memory),
            gpus,
            installs=policy.allow_code and policy.allow_install,
            session_idle=policy.session_idle,
            processes=self.processes,
            closed=self._rules.closed,
            journal=journal,
            stands_still=self._rules.stands_still,
        )
        specs = [self._seen(function) for function in self._functions]
        said.withheld = tuple(_withheld(specs, said))
        self.log_withheld(said.withheld)
        names = {each.name for each in said.withheld}
        offered = [spec for spec in specs if spec.name not in names]
        builtins = OF_NODES if policy.allow_code else (RULES,)
        offered += [Function(name, max_concurrency=CODE_CONCURRENCY) for name in builtins]
        said.functions = tuple(offered)
        return said

    def log_withheld(self, withheld: Iterable[Withheld]) -> None:
        """Tell the node's owner, once, what the node does not offer, and why."""
        for each in withheld:
            if each not in self._told:
                self._told.add(each)
                _log.warning("%s does not offer %s(): %s", self._node_id, each.name, each.why)

    def _seen(self, function: RegisteredFunction) -> Function:
        """What is said of a function: also how it runs here, and what it was seen to need."""
        if function.spec.name in self._sessions.processes.pooled:
            return structs.replace(self._with_peak(function), in_process=True)
        return self._with_peak(function)

    def _with_peak(self, function: RegisteredFunction) -> Function:
        spec, peak = function.spec, self._sessions.gpus.peaks.of(f"{function.pool}()")
        promised = spec.requirements.gpu_memory if spec.requirements is not None else 0
        if not promised or peak <= promised:
            return spec
        if spec.name not in self._warned:
            self._warned.add(spec.name)
            _log.warning(
                "%s() needs %s of GPU memory as it was registered, and was seen to hold %s: others "
                "may find too little. Register it with gpu_memory=%r.",
                *(spec.name, show_size(promised), show_size(peak), show_size(peak)),
            )
        return structs.replace(spec, gpu_peak=peak)


def _withheld(specs: Iterable[Function], machine: Register) -> Iterator[Withheld]:
    """The functions that need what this machine can never give."""
    for spec in specs:
        missing = lacks(spec.requirements, machine) if spec.requirements is not None else []
        if missing:
            yield Withheld(spec.name, ", ".join(missing)[:NAME_LIMIT])
