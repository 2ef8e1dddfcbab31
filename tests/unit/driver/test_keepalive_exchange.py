"""What exchanges plan for keep-alive: for whom, with what, and for whom not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from farthing.core.cache_engine import CacheEngine
from farthing.core.engine import Engine
from farthing.core.engine_accounts import Accounts
from farthing.core.engine_setup import EngineSetup
from farthing.core.governor import Governor, Residual
from farthing.core.keepalive import KEEPALIVE, KeepAlive
from farthing.core.levers import Profile
from farthing.core.policy import policy_of
from farthing.core.prefix import Mark
from farthing.core.records import Attribution
from farthing.core.shadow import Shadows
from farthing.core.ttl_tables import TtlTables
from farthing.pricing import catalog
from tests.unit.core.cache_prompts import NOON, prompt
from tests.unit.core.test_keepalive import pauses_of
from tests.unit.driver.talks import MODEL, FakeUpstream, Talk, body, call, message, setup

DUE_NS = 300 * 1_000_000_000 - 1


def system(**mark: str) -> list[dict[str, Any]]:
    """A head that is cached."""
    control = {"type": "ephemeral"} | mark
    return [{"type": "text", "text": "All of it. " * 1_000, "cache_control": control}]


def engine(
    *, profile: Profile = "safe", on: bool = True, governor: Governor | None = None
) -> Engine:
    off = ["cache.marks", "cache.ttl"]
    return Engine(
        EngineSetup(
            policy=policy_of(profile, on=[KEEPALIVE] if on else [], off=off),
            engine_version="1",
            install_key=b"k" * 32,
            prices=catalog(),
            lifetimes=TtlTables(by_class={"api": pauses_of(6)}),
            governor=governor,
        )
    )


def planned(made: Engine | None, sent: bytes, upstream: FakeUpstream | None = None) -> KeepAlive:
    """What is planned after one call."""
    keepalive = KeepAlive()
    talk = Talk(setup=setup(engine=made, keepalive=keepalive))
    asked = call(sent, authorization="Bearer s", cookie="c")
    talk.run(asked, upstream or FakeUpstream([message()]))
    return keepalive


def test_a_good_answer_plans_a_ping_without_credentials():
    (found,) = planned(engine(), body(system=system(), stream=False)).due(DUE_NS)

    assert found.pings == 1
    assert b'"max_tokens":0' in found.body.replace(b" ", b"")
    assert found.headers == {}
    assert found.attribution.task_id


@pytest.mark.parametrize(
    ("made", "sent"),
    [
        (None, body(system=system())),
        (engine(on=False), body(system=system())),
        (engine(profile="observe"), body(system=system())),
        (engine(), body()),
        (engine(), body(system=system(ttl="1h"))),
        (engine(), body(system=system(), tools=[], tool_choice={"type": "any"})),
    ],
    ids=["no engine", "not named", "observed", "nothing marked", "for an hour", "refused"],
)
def test_nothing_is_planned(made: Engine | None, sent: bytes):
    assert len(planned(made, sent)) == 0


def test_an_answer_that_was_cut_plans_nothing():
    cut = FakeUpstream([message()], cut_after=0)

    assert len(planned(engine(), body(system=system()), cut)) == 0


def test_an_error_plans_nothing():
    refused = FakeUpstream([b"{}"], status=500)

    assert len(planned(engine(), body(system=system()), refused)) == 0


def test_what_the_governor_switched_off_plans_nothing():
    governor = Governor(engine_version="1")
    while not governor.is_off(KEEPALIVE, "api"):
        governor.record(KEEPALIVE, "api", Residual(saved_pico=-90, bound_pico=100))

    assert len(planned(engine(governor=governor), body(system=system()))) == 0


@pytest.mark.parametrize("model", [MODEL, "claude-unheard-of"])
def test_a_call_of_our_own_is_booked_for_its_task_as_our_own_cost(model: str):
    whose = Attribution(task_id="t-9", root_task_id="t-9", key_scope="k", source="header")
    ping = structs.replace(call(body(max_tokens=0, model=model)), ping_for=whose)
    talk = Talk(setup=setup(engine=engine(), keepalive=KeepAlive()))

    talk.run(ping, FakeUpstream([message(model=model)]))

    row = talk.row()
    end = row.settlement
    assert end is not None
    assert row.opened.attribution == whose
    assert end.notes[0] == "own.ping"
    assert end.plan == ()
    own = None if end.accounting is None else end.accounting.own_cost_pico
    assert own == (None if end.cost is None else end.cost.total)
    assert (own is None) == (model != MODEL)


def test_a_ping_warms_the_levers_own_shadow_and_not_the_clients():
    shadows = Shadows()
    view = prompt(["head"], marks=[Mark(index=0)])

    shadows.kept_warm(KEEPALIVE, view, began_at=NOON, first_byte_at=NOON)

    later = NOON + timedelta(seconds=60)
    assert shadows.predict(view, later).cache_read == 0
    assert shadows.sent.predict(view, later).usage.cache_read == 1_000


def test_lineages_with_pings_are_remembered_up_to_a_bound():
    accounts = Accounts(engine().setup, CacheEngine())
    view = prompt(["head"], marks=[Mark(index=0)])
    for number in range(8_200):
        accounts.kept_warm(str(number), view, began_at=NOON, first_byte_at=NOON)

    assert accounts.kept_alive == 8_192
