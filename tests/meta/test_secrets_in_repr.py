"""No class shows a credential in its ``repr``: every field that could hold one is tried.

A field could hold one if its name says so. Each such class is made with the secret planted there
and nothing else, and shown. What may be shown all the same is listed below with its reason; a new
class that shows such a field fails here until somebody has said which it is.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

import farthing
from farthing.config import SETTINGS, Settings
from farthing.core.keys import KeySecret, VirtualKey
from farthing.driver.keys import Issued
from farthing.gateway.credentials import Credentials
from farthing.notify.channels import PagerDuty, Slack, Webhook

PLANTED: Final = "planted-secret"
START: Final = datetime(2026, 11, 20, tzinfo=UTC)
SUSPECT: Final = re.compile(
    r"(?:^|_)(?:key|keys|secrets?|password|credentials?|authorization|headers?|salt)$"
    r"|(?:^|_)(?:slack|webhook|pagerduty)_"
)
_NAME: Final = "the name or id of a key, of a budget, or of a setting"
_DIGEST: Final = "digests"
_OBJECT: Final = "objects, which are shown by their own repr"
_ANSWER: Final = "the header of an answer or of a table"
_FLAG: Final = "yes or no"
HARMLESS: Final = {
    "cli.compare_selecting.Selection.key": _NAME,
    "compose.access.Access.keys": _OBJECT,
    "compose.parts.Parts.credentials": _OBJECT,
    "config.table.Setting.is_secret": _FLAG,
    "config.table.Setting.key": _NAME,
    "core.breaker_values.Change.key": _NAME,
    "core.breaker_values.OpenCircuit.key": _NAME,
    "core.breaker_values.Refused.key": _NAME,
    "core.budgets_account.Claim.key": _NAME,
    "core.budgets_account.Standing.key": _NAME,
    "core.engine_values.Caller.key": _NAME,
    "core.engine_values.Reading.key": _DIGEST,
    "core.exchange_effects.ClientHead.headers": _ANSWER,
    "core.exchange_effects.Head.headers": _ANSWER,
    "core.exchange_prepare.Prepared.budget_keys": _NAME,
    "core.keys.VirtualKey.secrets": _OBJECT,
    "core.loop_turns.Turn.key": _DIGEST,
    "core.policy.Policy.keys": _NAME,
    "core.reconciling.Comparison.key": _NAME,
    "core.records.Opened.budget_keys": _NAME,
    "gateway.access.GateSettings.has_own_key": _FLAG,
    "gateway.access.GateSettings.require_key": _FLAG,
    "gateway.pages.ApiPages.keys": _OBJECT,
    "lab.emulator.admission.Admitted.headers": _ANSWER,
    "lab.emulator.diagnostics._Fingerprint.keys": _DIGEST,
    "lab.emulator.prompt_cache.Chain.keys": _DIGEST,
    "lab.emulator.reply.Reply.headers": _ANSWER,
    "lab.emulator.serving.Served.headers": _ANSWER,
    "lab.emulator.settings.Settings.keys": "made up for tests",
    "ledger.budgets_reading.BudgetStanding.key": _NAME,
    "reports.savings_text.SavingsTable.headers": _ANSWER,
    "traces.audit.pieces.Piece.content_key": _DIGEST,
    "traces.format.Conversation.user_key": _DIGEST,
    "traces.rows._Meta.user_key": _DIGEST,
    "wire.envelope.ErrorAnswer.headers": _ANSWER,
    "wire.fingerprint.Fingerprint.key": _DIGEST,
}
#: made as their users make them: what they hold is checked as it comes in, or is asked for
OTHERWISE: Final = (Settings, Issued)


class Anything:
    """Stands for every other field: whatever is asked of it, it is there and says nothing."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        return self

    def __format__(self, spec: str) -> str:
        return "?"

    def __repr__(self) -> str:
        return "?"

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


def classes() -> list[type]:
    """Every class of ours."""
    found = dict[type, None]()
    for info in pkgutil.walk_packages(farthing.__path__, "farthing."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if inspect.isclass(value) and value.__module__ == info.name:
                found[value] = None
    return list(found)


def fields_of(cls: type) -> list[str]:
    """What an object of a class holds, as far as it is written down."""
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    if issubclass(cls, msgspec.Struct):
        return [field.name for field in msgspec.structs.fields(cls)]
    if cls.__repr__ is object.__repr__:
        return []
    return [name for each in cls.__mro__ for name in vars(each).get("__slots__", ())]


def shown(cls: type, names: list[str], planted: str) -> str:
    """An object's ``repr`` with the secret in one field and anything in the others."""
    values = {name: PLANTED if name == planted else Anything() for name in names}
    if issubclass(cls, msgspec.Struct):
        return repr(cls(**values))
    made = cls.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return repr(made)


def suspects() -> list[tuple[type, str]]:
    found = [each for each in classes() if each not in OTHERWISE]
    return [(cls, name) for cls in found for name in fields_of(cls) if SUSPECT.search(name)]


def name_of(cls: type, field: str) -> str:
    return f"{cls.__module__}.{cls.__qualname__}.{field}".removeprefix("farthing.")


def test_no_field_that_could_hold_a_credential_is_shown() -> None:
    tried = suspects()
    seen = {
        name_of(cls, field) for cls, field in tried if PLANTED in shown(cls, fields_of(cls), field)
    }

    assert {Credentials, KeySecret, PagerDuty, Slack, Webhook, VirtualKey} <= set(classes())
    assert "notify.channels.PagerDuty.routing_key" in {name_of(*each) for each in tried}
    assert sorted(seen - HARMLESS.keys()) == []
    assert sorted(HARMLESS.keys() - seen) == []


def test_settings_show_no_secret_of_theirs() -> None:
    secrets = [row.name for row in SETTINGS if row.is_secret]
    values: dict[str, Any] = {name: f"{PLANTED}-of-{name}" for name in secrets}
    text = repr(Settings(**values))

    assert {"api_key", "admin_key", "alerts_webhook_secret", "alerts_pagerduty_key"} <= set(secrets)
    assert PLANTED not in text
    assert all(name in text for name in secrets)


@pytest.mark.parametrize(
    "holder",
    [Slack(url=PLANTED), Webhook(url=PLANTED, secret=PLANTED), Credentials(PLANTED)],
    ids=lambda holder: type(holder).__name__,
)
def test_whoever_is_given_a_secret_keeps_it_to_itself(holder: object) -> None:
    assert PLANTED not in repr(holder)


def test_a_new_key_is_shown_by_its_name() -> None:
    key = VirtualKey(name="ci", key_id="0" * 12, role="client", created_at=START, secrets=())
    assert repr(Issued(key=key, text=PLANTED)) == "<Issued ci>"


def test_a_class_that_shows_a_secret_is_found() -> None:
    @dataclasses.dataclass
    class Careless:
        api_key: str

    assert [name for name in fields_of(Careless) if SUSPECT.search(name)] == ["api_key"]
    assert PLANTED in shown(Careless, ["api_key"], "api_key")
