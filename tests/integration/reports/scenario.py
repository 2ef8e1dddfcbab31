"""Ledgers of a made-up team, written through the ledger's own port: seeded, really priced."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from farthing.core.records import Attribution, AttributionSource, Opened, Outcome, Settlement
from farthing.ledger import SqliteLedger
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage

START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
OPUS, SONNET, HAIKU = "claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"


@dataclass
class Team:
    """Writes tasks into a ledger; every number comes from the seed."""

    ledger: SqliteLedger
    dice: random.Random
    count: int = 0
    #: instant of the last call
    now: datetime = field(default=START)

    def call(
        self,
        task: str,
        kind: str | None,
        *,
        at: datetime,
        model: str = OPUS,
        parent: str | None = None,
        prompt: int = 8_000,
        share: float = 0.8,
        key: str = "key-alpha-0123456789",
        source: AttributionSource = "header",
        session: str | None = None,
    ) -> str:
        """One settled exchange; ``share`` of its prompt was cached."""
        self.count += 1
        exchange_id = f"x-{self.count:05d}"
        read = int(prompt * share)
        usage = Usage(
            uncached=200,
            cache_write_5m=prompt - read,
            cache_read=read,
            output=self.dice.randint(80, 600),
            service_tier="standard",
        )
        card = catalog().find(model, on=at)
        cost = None if card is None else price(usage, card)
        who = Attribution(
            task_id=task,
            parent_task_id=parent,
            root_task_id=parent or task,
            task_type=kind,
            key_scope=key,
            source=source,
            session_id=session,
        )
        took = self.dice.lognormvariate(0.7, 0.6)
        self.ledger.open(
            Opened(
                exchange_id=exchange_id,
                opened_at=at,
                attribution=who,
                endpoint="messages",
                path="POST /v1/messages",
                request_bytes=4 * prompt,
                body_digest="d" * 32,
                engine_version="1",
                model_asked=model,
                is_streamed=True,
                high_pico=None if cost is None else 3 * cost.total,
            )
        )
        self.ledger.settle(
            Settlement(
                exchange_id=exchange_id,
                state="settled",
                ended_at=at + timedelta(seconds=took),
                model_served=model,
                usage=usage,
                cost=cost,
                rate_card_id=None if card is None else card.id,
                baseline_pico=None if cost is None else int(cost.total * 1.2),
                http_status=200,
                stop_reason="end_turn",
                overhead_us=self.dice.randint(200, 900),
                ttft_us=int(took * 300_000),
                total_us=int(took * 1_000_000),
                plan=("+cache.auto",),
                notes=() if card else ("unpriced.model",),
            )
        )
        self.now = at + timedelta(seconds=took)
        return exchange_id

    def task(
        self,
        name: str,
        kind: str | None,
        *,
        at: datetime,
        turns: int,
        judged: bool = True,
        pass_rate: float = 0.8,
        model: str = OPUS,
        parent: str | None = None,
        key: str = "key-alpha-0123456789",
        session: str | None = None,
    ) -> None:
        """A task of some turns, its prompt growing, and how it ended."""
        for turn in range(turns):
            self.call(
                name,
                kind,
                at=at + timedelta(seconds=20 * turn),
                model=model,
                parent=parent,
                prompt=int(3_000 * (turn + 1) * self.dice.lognormvariate(0, 0.3)),
                key=key,
                session=session,
            )
        if judged:
            ends = Outcome(outcome="passed" if self.dice.random() < pass_rate else "failed")
            self.ledger.outcome(name, ends)

    def turns(self, middle: float) -> int:
        return max(1, round(self.dice.lognormvariate(0, 0.4) * middle))

    def days(self, days: int, *, per_day: int = 8, worse_from: int | None = None) -> None:
        """A team at work: triage, reviews with sub-agents; reviews get worse from a day on."""
        for day in range(days):
            morning = START + timedelta(days=day)
            for number in range(per_day):
                at = morning + timedelta(minutes=40 * number)
                name = f"{day:02d}-{number:02d}"
                self.task(
                    f"triage-{name}",
                    "triage",
                    at=at,
                    turns=self.turns(2),
                    model=HAIKU,
                    session=f"session-{name}",
                )
                review = f"review-{name}"
                factor = 3 if worse_from is not None and day >= worse_from else 1
                self.task(
                    review,
                    "review",
                    at=at + timedelta(minutes=5),
                    turns=self.turns(3 * factor),
                    key="key-beta-9876543210",
                    session=f"session-{name}",
                )
                self.task(
                    f"{review}/lint",
                    "lint",
                    at=at + timedelta(minutes=9),
                    turns=1,
                    judged=False,
                    model=SONNET,
                    parent=review,
                    key="key-beta-9876543210",
                    session=f"session-{name}",
                )


def lose(team: Team, task: str, *, low: int, high: int | None, at: datetime) -> str:
    """An exchange that was sent and whose final usage was never seen."""
    exchange_id = f"lost-{task}"
    team.ledger.open(
        Opened(
            exchange_id=exchange_id,
            opened_at=at,
            attribution=Attribution(
                task_id=task, root_task_id=task, key_scope="key-alpha-0123456789", source="header"
            ),
            endpoint="messages",
            path="POST /v1/messages",
            request_bytes=100,
            body_digest="d" * 32,
            engine_version="1",
            model_asked=OPUS,
        )
    )
    team.ledger.settle(
        Settlement(
            exchange_id=exchange_id,
            state="unsettled",
            ended_at=at,
            low_pico=low,
            high_pico=high,
            notes=("answer.cut",),
        )
    )
    return exchange_id


def team_at(path: Path, seed: int = 1) -> Team:
    return Team(SqliteLedger(path), random.Random(seed))
