"""What the gateway keeps of a client's connection, of a node and of a call: three plain records.

They point at one another, so they live in one module. ``table.py`` and ``nodes.py`` change them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from easyremote.errors import ProtocolError
from easyremote.gateway.callers import Access, Principal, Target, Wanted
from easyremote.gateway.scheduling.estimates import UNKNOWN
from easyremote.gateway.scheduling.fairness import FairShare
from easyremote.gateway.scheduling.holdings import Holdings
from easyremote.gateway.scheduling.lending import Lent, refuses
from easyremote.options.requirements import Requirements
from easyremote.options.retries import Retry
from easyremote.protocol.builtins import CALL, CELL, is_builtin, starts_work
from easyremote.protocol.call import TERMINAL, WAITING, CallEvent, CallState
from easyremote.protocol.caller import GRACE, RECONNECT_LIMIT
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Attach, Finished, Function, Register, Resources, Submit
from easyremote.protocol.streams import Relay

#: Calls that one client may have outstanding; it keeps the rest back.
MAX_CALLS = 1000
#: Calls of one client that are taken: it counts a call as over before the gateway hears of it.
TAKEN = MAX_CALLS + MAX_CALLS // 4
#: How long a node may be out of reach before its calls are given up.
LOST_AFTER = 60.0
#: Functions quicker than this are sent ahead of free slots, so that the link never runs dry.
QUICK = 0.005
#: At most so many calls are sent ahead, and at most so many seconds of work for each slot.
AHEAD, AHEAD_SECONDS = MAX_CALLS, 0.25
#: Seconds that a generator waits, with its slot, for a client who is gone.
STREAM_HOLD = 30.0
#: Seconds that the outcome of a call that went on without its client is kept.
KEPT = 24 * 3600.0
_LINK = Access.LINK


@dataclass(slots=True, eq=False)
class ClientLink:
    """One client's connection."""

    link: Link
    principal: Principal
    access: Access = Access.LINK
    #: How many calls of the client the gateway takes.
    max_calls: int = TAKEN
    #: The client's calls, by the client's own numbers.
    calls: dict[int, GatewayCall] = field(default_factory=dict)
    #: When its RESUME came. The ages of calls that it sends again are counted from here.
    resumed: float = 0.0
    #: Whether a newer connection of the client's process has taken over: nothing is heard here.
    is_replaced: bool = False
    #: Whether it is the gateway itself: nobody takes its calls over.
    is_own: bool = False

    @property
    def is_full(self) -> bool:
        """Whether the gateway takes no more calls of this client."""
        return len(self.calls) >= self.max_calls

    def check_number(self, number: int, call_id: bytes) -> None:
        """Raise where the client uses this number for another call already."""
        known = self.calls.get(number)
        if known is not None and known.call_id != call_id:
            raise ProtocolError(f"the number {number} is that of another call")


@dataclass(slots=True, eq=False)
class Node:
    """One node, known by its id, over all of its connections."""

    node_id: str
    instance: bytes = b""
    #: When its process started, on our clock.
    born: float = 0.0
    link: Link | None = None
    #: Whether it has said, on this link, what it offers.
    is_registered: bool = False
    #: Whether it has said, on this link, which calls it holds; before that it gets none.
    has_resumed: bool = False
    #: It finishes its calls and takes no new ones.
    draining: bool = False
    #: It does not answer: it gets no calls until it does.
    is_silent: bool = False
    #: It handed back call after call and began none: it gets no more calls on this link.
    is_refusing: bool = False
    #: Calls handed back since the node last began one or rested; rests since it last began one.
    handed_back: int = 0
    rests: int = 0
    #: While it rests: when the rest ends. It gets no calls before.
    rests_until: float = 0.0
    #: Whose key it showed; what its owner asked for; and why nothing new starts, empty if it does.
    owner: str = ""
    lent: Lent = Lent.YES
    closed: str = ""
    functions: dict[str, Function] = field(default_factory=dict)
    #: The functions that it has and does not offer, and why.
    withheld: dict[str, str] = field(default_factory=dict)
    #: How many calls run at a time; 0 while nothing new starts.
    slots: int = 0
    #: The calls on this node, by their number on its link.
    calls: dict[int, GatewayCall] = field(default_factory=dict)
    #: The calls whose arguments are still on their way. They take no slot yet, so that a client
    #: that announces arguments and sends none blocks nobody.
    arriving: set[GatewayCall] = field(default_factory=set)
    #: How many calls with whole arguments have not finished, by function.
    active: dict[str, int] = field(default_factory=dict)
    #: How many of these calls hold a slot, and the run-seconds that are expected of them together.
    busy: int = 0
    owed: float = 0.0
    #: By function: how many seconds a call of it runs here.
    runs: dict[str, float] = field(default_factory=dict)
    #: How many seconds after its function's end an outcome is here: the way, and waiting there.
    lag: float | None = None
    #: Whose turn it is here, by priority.
    shares: dict[int, FairShare] = field(default_factory=lambda: defaultdict(FairShare))
    #: What the calls here hold of its machine.
    held: Holdings = field(default_factory=Holdings)
    #: A call that has waited long for what it needs: no other gets any of that before it.
    kept_for: GatewayCall | None = None
    #: The functions for which it is set aside, because it had no room for them; and who asked.
    aside: set[tuple[str, Access]] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    resources: Resources | None = None
    #: Its last REGISTER.
    said: Register = field(default_factory=lambda: Register((), 0))
    #: What its machine has; `resources` also tells how busy the machine is.
    machine: Resources | None = None
    #: When it connected; while it is away, when it left.
    since: float = 0.0

    @property
    def online(self) -> bool:
        """Whether it is connected and has said what it offers."""
        return self.link is not None and self.is_registered

    def is_gone(self, now: float) -> bool:
        """Whether it is away, and not expected back."""
        return self.link is None and now > self.since + LOST_AFTER

    def offers(self, function: str, access: Access) -> bool:
        """Whether the node has this function and lets such a caller call it."""
        offered = self.functions.get(function)
        return offered is not None and access.allows(offered)

    def may_take(self, function: str, access: Access, now: float) -> bool:
        """Whether a call of this function may go there, now or later."""
        is_known = self.is_registered or bool(self.functions)
        may_come = not self.is_gone(now) and not refuses(self, function)
        return may_come and (self.offers(function, access) or not is_known)

    def has_room(self, call: GatewayCall) -> bool:
        """Whether this call may go there now."""
        _, function, access = call.target
        offered = self.functions.get(function)
        if offered is None or (self.closed and starts_work(function)):
            return False
        if not self.has_resumed or self.draining or self.rests_until or self.is_silent:
            return False
        if access is not _LINK and not access.allows(offered):
            return False
        # A call whose arguments are still to come needs a place among those that are arriving.
        arriving = self.arriving if call.arguments is not None else ()
        needs = call.needs or offered.requirements
        if needs is not None and not self._is_free(call, needs):
            return False
        limit = offered.max_concurrency
        if limit:
            coming = sum(each.function == function for each in arriving)
            if self.active.get(function, 0) + coming >= limit:
                return False
        if call.is_code:  # code has processes of its own
            return True
        taken = self.busy
        if arriving:
            taken += sum(not each.is_code for each in arriving)
        if taken < self.slots:
            return True
        # Quick calls are sent ahead of free slots.
        is_quick = self.runs.get(function, UNKNOWN) < QUICK
        return is_quick and taken < self.slots + AHEAD and self.owed < AHEAD_SECONDS * self.slots

    def needs_of(self, call: GatewayCall) -> Requirements | None:
        """What a call needs here, and holds."""
        offered = self.functions.get(call.target[1])
        return call.needs or (offered.requirements if offered is not None else None)

    def _is_free(self, call: GatewayCall, needs: Requirements) -> bool:
        """Whether what a call needs is free, and not kept for another one."""
        if self.kept_for is not None and self.kept_for.want is None:
            self.kept_for = None  # it waits no more
        if self.kept_for not in (None, call):
            return False
        return self.held.short_of(call, needs, self.said, self.resources) is None

    @property
    def is_full(self) -> bool:
        """Whether no call that takes a slot may go there now, whatever its function."""
        over = self.busy - self.slots
        return over >= 0 and (over >= AHEAD or self.owed >= AHEAD_SECONDS * self.slots)

    def occupy(self, call: GatewayCall) -> None:
        """The call takes a slot, or runs beside the slots."""
        function = call.target[1]
        self.active[function] = self.active.get(function, 0) + 1
        if not call.is_code:
            self.busy += 1
            self.owed += call.expected

    def release(self, call: GatewayCall) -> None:
        """The call gives back what it took."""
        self.active[call.target[1]] -= 1
        if self.held.calls:
            self.held.release(call)
        if not call.is_code:
            self.busy -= 1
            self.owed = self.owed - call.expected if self.busy else 0.0

    def began(self) -> None:
        """The node began a call: it does not hand back all of them."""
        self.handed_back = self.rests = 0


@dataclass(slots=True, eq=False)
class GatewayCall:
    """One call, as the gateway holds it."""

    number: int
    call_id: bytes
    #: Empty while only its node has spoken of it; then ``target`` is not known, either.
    owner: str
    target: Target
    state: CallState = CallState.QUEUED
    client: ClientLink | None = None
    client_number: int = 0
    node: Node | None = None
    fence: int = 0
    #: While the call waits: its SUBMIT, and the start of its arguments if they are a stream.
    submit: Submit | None = None
    arguments: Relay | None = None
    created: float = 0.0
    #: When its client first sent it, on our clock, or a little before.
    sent: float = 0.0
    began: float = 0.0
    #: The run-seconds that were expected of it when it was dispatched, and how many of them its key
    #: was charged then: none where nothing waited.
    expected: float = 0.0
    charged: float = 0.0
    #: When it was sent to a free slot; 0 if it was sent ahead of one.
    placed: float = 0.0
    #: Moments on our clock, 0 for never.
    deadline: float = 0.0
    queue_deadline: float = 0.0
    #: While the call is suspect or expected: until when its node is waited for.
    suspect_until: float = 0.0
    hold_until: float = 0.0
    #: Seconds that the call goes on without its client; 0 for the usual time, below 0 for no limit.
    hold: float = 0.0
    timer: float = 0.0
    #: As in SUBMIT.
    session: str = ""
    origin: str = ""
    balancing: str = ""
    on_node_loss: str = ""
    notify: str = field(default="", repr=False)
    needs: Requirements | None = None
    priority: int = 0
    #: Once it waits: its place in the line of its key, its number or that of the attempt before.
    turn: int = 0
    #: Whether it counts as active on its node; true from the moment its arguments are whole.
    occupies: bool = False
    #: While its arguments arrive: when the next bytes are due, and how many had come before that.
    arguments_by: float = 0.0
    arguments_seen: int = 0
    #: How it ended: the error's code (empty for a value), and how many seconds it ran.
    code: str = ""
    seconds: float = 0.0
    #: Bytes that went to its node; that came back, not counted yet; whether the call is counted.
    argument_bytes: int = 0
    result_bytes: int = 0
    is_counted: bool = False
    #: What happened to it, and when; see `CallTable.story`.
    story: list[tuple[CallEvent, float]] = field(default_factory=list)
    #: A cancel that its node can't be told yet: None for no cancel, else whether to kill.
    cancelling: bool | None = None
    #: Whether somebody cancelled it. An error that the node then reports is shown as cancelled.
    was_cancelled: bool = False
    #: An outcome that the gateway made itself.
    outcome: Finished | None = None
    #: Which calls it waits with; None where it does not wait.
    want: Wanted | None = None
    #: Whether it is a call of a builtin: it takes no slot.
    is_code: bool = False

    def belongs_to(self, owner: str, target: Target) -> None:
        """The client of a call that a node spoke of first has come: now it is known whose it is."""
        self.owner, self.target = owner, target
        self.is_code = is_builtin(target[1])

    @property
    def function(self) -> str:
        return self.target[1]

    @property
    def streams(self) -> bool:
        """Whether it is a generator, on the node where it is."""
        offered = self.node.functions.get(self.function) if self.node is not None else None
        return offered is not None and offered.streams

    @property
    def retry(self) -> Retry | None:
        """When it is tried again if it fails, as the node where it is has registered it."""
        offered = self.node.functions.get(self.function) if self.node is not None else None
        return offered.retry if offered is not None else None

    @property
    def title(self) -> str:
        """What to call it in a message."""
        special = {"": "the call", CELL: "the cell", CALL: "the shipped function"}
        return special.get(self.function, f"{self.function}()")

    @property
    def is_over(self) -> bool:
        """Whether it has an outcome, delivered or not."""
        return self.state is CallState.FINISHED or self.state in TERMINAL

    def next_deadline(self) -> float:
        """When something has to happen if nothing else does."""
        limits: tuple[float, ...] = (self.hold_until, self.suspect_until, self.arguments_by)
        if self.deadline or self.queue_deadline:
            if self.state in WAITING:
                limits += self.deadline, self.queue_deadline
            elif self.deadline and self.state in (CallState.DISPATCHED, CallState.RUNNING):
                limits += (self.deadline + GRACE,)
        return min(filter(None, limits), default=0.0)

    def bind(self, client: ClientLink, number: int) -> None:
        """Connect the call with this client, which waits for its outcome from now on."""
        if self.client is not None:
            self.client.calls.pop(self.client_number, None)
        self.client, self.client_number = client, number
        self.hold_until = 0.0
        client.calls[number] = self

    def unbind(self, now: float) -> None:
        """Nobody waits for this call: start its hold timer."""
        self.client = None
        hold = self.hold or (STREAM_HOLD if self.streams else RECONNECT_LIMIT)
        if hold > 0:
            self.hold_until = now + hold
        elif self.is_over:
            self.hold_until = now + KEPT

    def say_again(self) -> None:
        """A client waits for this call again: send it what it has not seen."""
        if self.outcome is not None and self.client is not None:
            self.outcome.call = self.client_number
            self.client.link.send(self.outcome)
        elif self.node is not None and self.node.link is not None:
            self.node.link.send(Attach(self.number))

    def arguments_came(self) -> None:
        """The last byte of the arguments that its node waits for has passed: take a slot."""
        if self.node is not None and self in self.node.arriving:
            self.node.arriving.remove(self)
            self.arguments_by = 0.0
            self.occupies = True
            self.node.occupy(self)

    def free_slot(self) -> bool:
        """Give its slot, or its place among the arriving, back; False where it had neither."""
        node = self.node
        assert node is not None, "only a call on a node has a slot"
        if self.occupies:
            self.occupies = False
            node.release(self)
            return True
        if self in node.arriving:
            node.arriving.remove(self)
            node.held.release(self)
            self.arguments_by = 0.0
            return True
        return False

    def leave_node(self) -> None:
        node = self.node
        if node is not None:
            node.calls.pop(self.number, None)
            self.free_slot()
            self.node = None

    def drop_arguments(self) -> None:
        if self.arguments is not None:
            self.arguments.give_up()
        self.submit = self.arguments = None
