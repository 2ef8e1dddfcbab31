"""Any interleaving: everybody goes within the limit, one leader per node, nothing is left over."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.fanout import Fanout, FanoutAsk, Ticket
from tests.unit.core.test_fanout import asked

LIMIT_MS = 5_000
MS = 1_000_000

#: (branch, sub-branch, is it streamed): a tree of three floors
LEAVES = st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans())
#: what happens, to which of those it can happen to, and how much later
EVENTS = st.tuples(
    st.sampled_from(["enter", "began", "left", "look"]),
    st.integers(0, 63),
    st.integers(0, 2_000),
    LEAVES,
)


def request(branch: int, below: int, *, is_streamed: bool) -> FanoutAsk:
    blocks = ["head", f"branch {branch}", f"below {below}", "tail"]
    return asked(blocks, [0, 1, 2, 3], tokens=[1_000, 2_000, 600, 10], is_streamed=is_streamed)


@dataclass
class World:
    """Drives the registry as drivers do: who waits looks when its time is over, not later."""

    fanout: Fanout = field(default_factory=lambda: Fanout(limit_seconds=LIMIT_MS / 1_000, nodes=6))
    now: int = 0
    tickets: list[Ticket] = field(default_factory=list)
    #: who was waiting and was not called although it goes
    forgotten: list[Ticket] = field(default_factory=list)

    def live(self, state: str) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.state == state]

    def pass_until(self, then: int) -> None:
        while due := [t for t in self.live("waiting") if t.until_ns <= then]:
            first = min(due, key=lambda ticket: ticket.until_ns)
            self.now = max(self.now, first.until_ns)
            self.act("look", first)
        self.now = max(self.now, then)

    def act(self, what: str, ticket: Ticket) -> None:
        waiting = self.live("waiting")
        called = getattr(self.fanout, what)(ticket, self.now)
        silent = set(waiting) - set(called) - {ticket}
        self.forgotten += [each for each in silent if not each.is_waiting]
        self.check()

    def happen(self, what: str, which: int, leaf: tuple[int, int, bool]) -> None:
        if what == "enter":
            ask = request(leaf[0], leaf[1], is_streamed=leaf[2])
            self.tickets.append(self.fanout.enter(ask, self.now))
            self.check()
            return
        states = {"began": ["going"], "left": ["going", "waiting"], "look": ["waiting"]}[what]
        found = [ticket for state in states for ticket in self.live(state)]
        if found:
            self.act(what, found[which % len(found)])

    def check(self) -> None:
        led = [node for ticket in self.tickets for node in ticket.nodes]
        assert len(led) == len(set(led)) == len(self.fanout) <= 6
        for ticket in self.tickets:
            assert ticket.is_waiting == (ticket.leader is not None)
            if ticket.is_waiting:
                assert ticket.leader is not None
                assert ticket.leader.state == "going"  # so there is no circle
                assert ticket in ticket.leader.waiters
                assert ticket.until_ns <= ticket.limit_ns
            else:
                assert ticket.waited_ns <= LIMIT_MS * MS or ticket.state == "ended"


@given(st.lists(EVENTS, max_size=60))
@settings(deadline=None)
def test_everybody_goes_within_the_limit_and_nothing_is_left_over(
    events: list[tuple[str, int, int, tuple[int, int, bool]]],
):
    world = World()
    for what, which, later_ms, leaf in events:
        world.pass_until(world.now + later_ms * MS)
        world.happen(what, which, leaf)

    world.pass_until(world.now + LIMIT_MS * MS)

    assert world.live("waiting") == []
    assert world.forgotten == []
    for ticket in world.tickets:
        world.fanout.left(ticket, world.now)
    assert len(world.fanout) == 0


@given(st.lists(LEAVES, min_size=1, max_size=40))
@settings(deadline=None)
def test_when_all_go_well_each_node_is_written_once(leaves: list[tuple[int, int, bool]]):
    """Whoever goes first answers first: no entry of the tree is paid for twice."""
    fanout = Fanout(limit_seconds=1_000)
    asks = [request(branch, below, is_streamed=True) for branch, below, _ in leaves]
    tickets = [fanout.enter(ask, 0) for ask in asks]
    written: list[object] = []
    now = 0
    while going := [ticket for ticket in tickets if ticket.state == "going"]:
        now += MS
        for ticket in going:
            written += [ticket.node(b) for b in ticket.writes if b > ticket.warm_block]
        for ticket in going:
            fanout.began(ticket, now)

    assert [ticket.state for ticket in tickets] == ["ended"] * len(leaves)
    big = [node for node in written if node[2] not in tails(tickets)]  # type: ignore[index]
    assert len(big) == len(set(big))


def tails(tickets: list[Ticket]) -> set[bytes]:
    """Too short to be waited for behind what is warm."""
    return {ticket.view.digests[3] for ticket in tickets}
