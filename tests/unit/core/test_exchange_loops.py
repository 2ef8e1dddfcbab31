"""Loops inside an exchange, from outside: what is sent, told, refused, and on record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.engine import Engine
from farthing.core.exchange import converse
from farthing.core.exchange_effects import Deliver
from farthing.core.loop_evidence import LoopSighting, parse_sighting
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_limits import TreeLimits
from farthing.core.loop_terms import LoopRules
from farthing.core.loop_values import LoopDecision, LoopKind, LoopPolicy
from farthing.core.loop_watch import LoopWatch
from farthing.core.pins import LineagePin
from farthing.core.policy import policy_of
from farthing.driver import Ports
from farthing.driver.pins import PinStore
from farthing.driver.prompt import interrupt, perform
from farthing.errors import LedgerError
from farthing.ledger.pins import MemoryPins
from farthing.pricing.money import PicoUsd
from farthing.wire.blocks import Message
from tests.unit.core import engine_cases as cases
from tests.unit.core.loop_histories import History, long_text
from tests.unit.driver.talks import FakeUpstream, Seen, Talk, call, error, message, setup

USAGE = {"input_tokens": 1_000, "output_tokens": 20}


@dataclass
class Pinned(Talk):
    pins: PinStore | None = field(default_factory=MemoryPins)

    @property
    def ports(self) -> Ports:
        return replace(super().ports, pins=self.pins)


@dataclass
class Run:
    """An agent's calls through one process, one history after another."""

    talk: Talk
    headers: dict[str, str] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    number: int = 0
    #: with a bearer and no key
    login: bool = False

    def ask(self, history: History, **fields: Any) -> Seen:
        self.number += 1
        asked = {"model": cases.MODEL, "max_tokens": 50, "messages": history.messages} | fields
        upstream = FakeUpstream([message(USAGE)])
        headers: Any = self.headers
        made = call(json.dumps(asked).encode(), exchange_id=f"ex_{self.number}", **headers)
        if self.login:
            headers = {name: text for name, text in made.headers.items() if name != "x-api-key"}
            made = msgspec.structs.replace(made, headers=headers)
        seen = self.talk.run(made, upstream)
        self.sent += upstream.sent
        return seen

    def notes(self, number: int | None = None) -> tuple[str, ...]:
        ending = self.talk.row(f"ex_{number or self.number}").settlement
        assert ending is not None
        return ending.notes

    def sighting(self) -> LoopSighting:
        (found,) = filter(None, map(parse_sighting, self.notes()))
        return found


def run(rules: LoopRules | None = None, *, levers: bool = True, **headers: str) -> Run:
    watch = LoopWatch(rules)
    engine = None
    if levers:
        engine = Engine(cases.setup(policy_of("safe"), loops=watch.terms))
    made = setup(engine=engine, loops=watch)
    return Run(Pinned(setup=made), headers)


def looping(turns: int) -> History:
    made = History()
    for _ in range(turns):
        same(made)
    return made


def same(history: History) -> History:
    return history.call("read", long_text("log"), path="a")


def other(history: History, number: int) -> History:
    return history.call("read", long_text(f"w{number}"), path=f"{number}")


def added(sent: bytes) -> list[tuple[int, int, str]]:
    """The notes in a body: message, place, text."""
    return [
        (at, place, block["text"])
        for at, said in enumerate(json.loads(sent)["messages"])
        if isinstance(said["content"], list)
        for place, block in enumerate(said["content"])
        if "<farthing-note>" in block.get("text", "")
    ]


# --- the ladder -----------------------------------------------------------------------------------


def test_told_noted_escalated_stopped():
    one, history = run(), looping(0)
    answers = []
    for _ in range(7):
        answers.append(one.ask(history))
        same(history)

    seen = answers[-1]
    assert [answer.headers.get("x-farthing-loop") for answer in answers] == [
        None,
        None,
        None,
        "exact_cycle repeats=3 step=note",
        "exact_cycle repeats=4 step=escalate",
        "exact_cycle repeats=5 step=escalate",
        "exact_cycle repeats=6 step=stop",
    ]
    assert seen.status == 402
    assert len(one.sent) == 6
    row = one.talk.row("ex_7")
    assert row.state == "released"
    assert one.notes()[-2:][0] == "loop.refused"
    found = one.sighting()
    assert (found.kind, found.step, found.repeats, found.cycle) == ("exact_cycle", "stop", 6, 1)
    assert (found.wasted_turns, found.tools) == (5, ("read",))
    # five turns behind the first copy, at 1,000 × 4 and 20 × 20 dollars per million
    assert found.wasted_usd == "0.022"
    assert "cost $0.0220" in json.loads(seen.body)["error"]["message"]
    assert one.talk.notes == ["loop.found.exact_cycle"] * 2


def test_without_an_engine_there_are_no_notes_and_the_rest_holds():
    one, history = run(levers=False), looping(0)
    bodies = []
    for _ in range(6):
        bodies.append(json.dumps(history.messages))
        one.ask(history)
        same(history)

    assert [json.dumps(json.loads(sent)["messages"]) for sent in one.sent] == bodies
    assert one.ask(history).status == 402


def test_levers_that_are_named_off_leave_the_guard_on():
    one = run(x_farthing_levers="-*")
    one.ask(looping(3))

    assert len(added(one.sent[0])) == 1


def test_what_a_subscription_pays_is_told_and_stopped_but_never_edited():
    one = run(authorization="Bearer sk-ant-oat01-x", anthropic_beta="oauth-2025-04-20")
    one.login = True
    one.ask(looping(3))

    assert added(one.sent[0]) == []
    assert one.sighting().step == "note"
    assert one.ask(looping(6)).status == 402


def test_a_bypassed_call_is_not_looked_at():
    one = run(x_farthing_bypass="1")

    seen = one.ask(looping(20))

    assert seen.status == 200
    assert "x-farthing-loop" not in seen.headers
    assert not any(note.startswith("loop.") for note in one.notes())


def test_counting_tokens_is_not_looked_at():
    one = run()
    asked = json.dumps({"model": cases.MODEL, "messages": looping(20).messages}).encode()
    upstream = FakeUpstream([b"{}"])

    assert one.talk.run(call(asked, path="/v1/messages/count_tokens"), upstream).status == 200


def test_a_kind_that_may_not_be_stopped_is_told():
    one = run(LoopRules(stops=frozenset()))

    assert one.ask(looping(9)).headers["x-farthing-loop"].endswith("step=escalate")


def test_a_loop_that_wasted_more_than_it_may_is_stopped_at_once():
    one, history = run(LoopRules(max_wasted_pico=8_000_000_000)), looping(0)
    for _ in range(3):
        assert one.ask(history).status == 200
        same(history)

    # two turns in vain at 0.0044 dollars each
    assert one.ask(history).status == 402


def test_a_loop_that_nobody_saw_the_costs_of_is_stopped_without_a_sum():
    one = run()

    seen = one.ask(looping(6))

    assert seen.status == 402
    assert "cost $" not in json.loads(seen.body)["error"]["message"]
    assert one.sighting().wasted_usd is None


def test_a_stopped_call_holds_nothing_in_a_budget():
    one = run(x_farthing_budget_usd="1000")
    one.ask(looping(6))

    row = one.talk.row()
    assert row.opened.hold_pico is None
    assert row.opened.high_pico == 0


def test_a_model_without_a_price_is_stopped_as_well():
    one = run()

    assert one.ask(looping(6), model="claude-unheard-of").status == 402


def test_what_alerts_hear():
    one = run()
    watch = one.talk.setup.loops
    assert watch is not None
    watch.is_heard = True
    history = looping(3)
    one.ask(history)
    one.ask(history)
    for _ in range(3):
        same(history)
    one.ask(history)

    told = watch.take()
    assert [(fact.what, fact.repeats, fact.is_stopped) for fact in told] == [
        ("exact_cycle (read)", 3, False),
        ("exact_cycle (read)", 6, True),
    ]
    assert told[0].scope.startswith("task:lineage:")


# --- notes ----------------------------------------------------------------------------------------


def test_a_note_stands_where_it_stood_on_every_later_turn():
    one, history = run(), looping(1)
    for _ in range(3):
        one.ask(history)
        same(history)
    for number in range(12):
        other(history, number)
        one.ask(history)

    with_note = [added(sent) for sent in one.sent[2:]]
    assert with_note[0] == with_note[-1]
    assert all(found == with_note[0] for found in with_note)
    assert len(with_note[0]) == 1
    assert one.notes(3)[-1] == "loop.noted"
    assert "loop.notes:1" in one.notes()
    assert "loop.noted" not in one.notes()


def test_the_bytes_in_front_of_what_is_new_never_change():
    one, history = run(), looping(1)
    for _ in range(3):
        one.ask(history, system="x")
        same(history)
    for number in range(6):
        other(history, number)
        one.ask(history, system="x")

    for before, after in pairwise(one.sent[2:]):
        assert unmarked(after).startswith(unmarked(before)[:-1])


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["log", "log", "log", "a", "b", "said"]), max_size=16))
def test_no_prefix_ever_flips(script):
    """Whatever an agent does, and whoever speaks: a body begins as the one before it did."""
    one, history = run(LoopRules(ladder=LoopLadder(stop=None))), History()
    for number, word in enumerate(script):
        one.ask(history, system="x")
        if word == "said":
            history.says(f"done {number}", "go on")
        else:
            history.call("read", long_text(word), path=word)

    for before, after in pairwise(one.sent):
        assert unmarked(after).startswith(unmarked(before)[:-1])


def unmarked(sent: bytes) -> str:
    """The messages as they are rendered: marks are not."""
    messages = json.loads(sent)["messages"]
    for said in messages:
        for block in said["content"] if isinstance(said["content"], list) else []:
            block.pop("cache_control", None)
    return json.dumps(
        [
            said
            if isinstance(said["content"], list)
            else said | {"content": [{"type": "text", "text": said["content"]}]}
            for said in messages
        ]
    )


def test_another_process_with_other_rules_leaves_the_notes_where_they_are():
    pins = MemoryPins()
    first, history = run(), looping(1)
    first.talk = Pinned(setup=first.talk.setup, pins=pins)
    for _ in range(3):
        first.ask(history)
        same(history)
    stricter = LoopRules(
        policy=LoopPolicy(repeats=2, no_progress_turns=2), ladder=LoopLadder(note=None)
    )
    second = run(stricter)
    second.talk = Pinned(setup=second.talk.setup, pins=pins)
    other(history, 1)
    second.ask(history)

    assert added(second.sent[0]) == added(first.sent[-1]) != []


def test_a_note_of_stricter_terms_stays_in_a_history_that_is_short_for_todays():
    pins = MemoryPins()
    first, history = run(LoopRules(policy=LoopPolicy(repeats=2))), looping(1)
    first.talk = Pinned(setup=first.talk.setup, pins=pins)
    first.ask(history)
    first.ask(same(history))
    assert len(added(first.sent[-1])) == 1
    second = run()
    second.talk = Pinned(setup=second.talk.setup, pins=pins)
    second.ask(history)

    assert added(second.sent[0]) == added(first.sent[-1])


def test_a_conversation_that_came_with_a_loop_gets_no_note_in_its_midst():
    one, history = run(), looping(4)
    other(history, 1)
    one.ask(history)
    assert added(one.sent[0]) == []

    for _ in range(3):
        same(history)
        one.ask(history)
    (at, _, _) = added(one.sent[-1])[0]
    assert at > 10


def test_a_pin_of_before_there_were_notes_gets_none():
    one, history = run(), looping(1)
    one.ask(history)
    engine = one.talk.setup.engine
    assert engine is not None
    (lineage_id,) = engine._pins
    pin = engine._pins[lineage_id]
    engine._pins[lineage_id] = replace(pin, loops=None)
    for _ in range(3):
        same(history)
        one.ask(history)

    assert not any(map(added, one.sent))


class Unreadable(MemoryPins):
    def pin(self, lineage_id: str, now: Any) -> LineagePin | None:
        raise LedgerError("no disk")


def test_where_pins_cannot_be_read_there_is_no_note():
    one = run()
    one.talk = Pinned(setup=one.talk.setup, pins=Unreadable())
    one.ask(looping(3))

    assert added(one.sent[0]) == []
    assert "pins.unreadable" in one.notes()


def test_levers_mark_what_is_sent_note_included():
    one, history = run(), History()
    history.messages[0]["content"] = "Question. " * 2_000
    for _ in range(4):
        one.ask(history)
        same(history)

    assert added(one.sent[-1])
    assert "cache_control" in one.sent[-1].decode()
    ending = one.talk.row().settlement
    assert ending is not None
    assert any(reason.startswith("+cache.") for reason in ending.plan)


def test_a_client_that_marks_its_newest_block_keeps_its_mark():
    one, history = run(), looping(3)
    history.messages[-1]["content"][-1]["cache_control"] = cases.MARK
    one.ask(history)

    last = json.loads(one.sent[0])["messages"][-1]["content"]
    assert last[0]["cache_control"] == cases.MARK
    assert last[1]["type"] == "text"


def test_marks_that_the_api_refuses_are_taken_off_and_the_note_stays():
    one = run()
    history = History()
    history.messages[0]["content"] = "Question. " * 2_000
    for _ in range(3):
        same(history)
    asked = {"model": cases.MODEL, "max_tokens": 50, "messages": history.messages}
    refused = error("invalid_request_error").replace(b'"no"', b'"cache_control: too many"')
    upstream = FakeUpstream([refused], 400)
    one.talk.run(call(json.dumps(asked).encode()), upstream)

    assert len(upstream.sent) == 2
    assert b"cache_control" not in upstream.sent[1]
    assert len(added(upstream.sent[1])) == 1


# --- faults ---------------------------------------------------------------------------------------


class Broken(LoopWatch):
    """A watch with a mistake in it."""

    def verdict(
        self, lineage_id: str, messages: Sequence[Message], size_bytes: int
    ) -> LoopDecision:
        raise ValueError(lineage_id)


def test_a_mistake_of_ours_costs_the_guard_and_not_the_call():
    talk = Pinned(setup=setup(loops=Broken()))
    one = Run(talk)

    assert one.ask(looping(9)).status == 200
    assert one.notes() == ("fail_open.loops",)


def test_a_refusal_that_is_interrupted_anywhere_leaves_no_open_row():
    reached = set[str]()
    for stops_at in range(12):
        one = run()
        asked = {"model": cases.MODEL, "max_tokens": 50, "messages": looping(6).messages}
        conversation = converse(call(json.dumps(asked).encode()), one.talk.setup)
        effect = next(conversation)
        for _ in range(stops_at):
            if isinstance(effect, Deliver):
                break
            effect = conversation.send(perform(effect, one.talk.ports))
        reached.add(type(effect).__name__)
        interrupt(conversation, one.talk.ports)

        row = one.talk.ledger.row("ex_1")
        assert row is None or row.state == "released"
    assert {"Note", "Open", "Settle", "Deliver"} <= reached


# --- trees and speed ------------------------------------------------------------------------------


def tree_of(**limits: int | None) -> Run:
    trees = TreeLimits(**{"depth": None, "children": None, "children_per_minute": None} | limits)
    return run(LoopRules(trees=trees, ladder=LoopLadder(stop=100)), levers=False)


def test_a_chain_of_tasks_that_is_too_deep_is_refused_and_what_runs_goes_on():
    one = tree_of(depth=2)
    seen = []
    for task, parent in (("a", "r"), ("b", "a"), ("c", "b"), ("b", "a"), ("c", "b")):
        one.headers = {
            "x_farthing_task": task,
            "x_farthing_parent": parent,
            "x_farthing_root": "r",
        }
        seen.append(one.ask(History()))

    assert [each.status for each in seen] == [200, 200, 402, 200, 402]
    assert seen[2].headers["x-farthing-loop"] == "recursion_depth repeats=3 step=stop"
    assert "nested 3 deep" in json.loads(seen[2].body)["error"]["message"]
    assert one.sighting().kind == "recursion_depth"


def test_a_wide_tree_is_told_and_grows():
    one = tree_of(children=2)
    seen = []
    for number in range(4):
        one.headers = {"x_farthing_task": f"c{number}", "x_farthing_parent": "r"}
        seen.append(one.ask(History()))

    assert [each.status for each in seen] == [200] * 4
    told = [each.headers.get("x-farthing-loop") for each in seen]
    assert told == [None, None, "fan_out repeats=3 step=alert", "fan_out repeats=4 step=alert"]
    assert one.talk.notes == ["loop.found.fan_out"]


def test_turns_of_a_task_have_a_limit_if_somebody_sets_one():
    one = tree_of(turns=2)

    assert [one.ask(History()).status for _ in range(3)] == [200, 200, 402]
    assert "has made 3 calls" in json.loads(one.ask(History()).body)["error"]["message"]


def test_a_retry_is_not_another_turn():
    one = tree_of(turns=1)
    upstream = FakeUpstream([error("overloaded_error")], 529)
    asked = json.dumps({"model": cases.MODEL, "max_tokens": 1, "messages": []}).encode()
    one.talk.run(call(asked), upstream)

    again = one.talk.run(call(asked, exchange_id="ex_2"), FakeUpstream([message(USAGE)]))
    assert again.status == 200
    assert one.talk.row().opened.attempt == 2


def test_a_tree_that_spends_beyond_its_cap_is_refused_for_the_rest_of_the_minute():
    one = run(LoopRules(minute_pico=8_000_000_000), levers=False)
    statuses = [one.ask(History()).status for _ in range(4)]

    # 0.0044 dollars each: the second call passes the cap, the third is not sent
    assert statuses == [200, 200, 402, 402]
    assert one.sighting().kind == "cost_cap"


def wide(one: Run) -> str:
    """What the second child of a tree is told, whose history loops as well."""
    told = ""
    for number in range(2):
        one.headers = {"x_farthing_task": f"c{number}", "x_farthing_parent": "r"}
        told = one.ask(looping(3)).headers["x-farthing-loop"]
    return told


def test_the_strongest_step_counts():
    trees = TreeLimits(children=1)
    strict = run(LoopRules(trees=trees, ladder=LoopLadder(stop=100)), levers=False)
    assert wide(strict) == "exact_cycle repeats=3 step=stop"
    mild = run(LoopRules(trees=trees, ladder=LoopLadder(note=None, escalate=None)), levers=False)
    assert wide(mild) == "fan_out repeats=2 step=alert"


def overspending(rules: LoopRules) -> tuple[Run, Seen]:
    """A tree whose first call cost more than its workload ever does, and its second one."""
    one = run(rules, levers=False, x_farthing_task_type="triage")
    watch = one.talk.setup.loops
    assert watch is not None
    watch.speeds.learn("triage", [PicoUsd(100_000_000)] * 20)
    one.ask(History())
    return one, one.ask(History())


def test_a_tree_that_overspends_its_usual_is_told():
    one, seen = overspending(LoopRules(ladder=LoopLadder(note=100, stop=100)))

    assert seen.status == 200
    assert (seen.headers["x-farthing-loop"] or "").startswith("cost_velocity")
    assert one.sighting().step == "alert"


def test_a_tree_that_overspends_its_usual_is_refused_where_that_is_asked_for():
    stops = frozenset[LoopKind]({"cost_velocity"})
    one, seen = overspending(LoopRules(ladder=LoopLadder(stop=100), stops=stops))

    assert seen.status == 402
    assert b"has overspent" in seen.body
    assert one.sighting().step == "stop"


def test_nobody_adds_up_what_nobody_asks_for():
    one = run(LoopRules(patience=0), levers=False)
    one.ask(History())

    watch = one.talk.setup.loops
    assert watch is not None
    assert len(watch.speeds) == 0
    assert len(watch) == 0
