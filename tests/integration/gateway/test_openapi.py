"""The HTTP API against its own document: generated requests, right ones and wrong ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from farthing.core.levers import LEVERS
from farthing.gateway.key_pages import openapi_document
from tests.integration.gateway.keyed import Keyed, keyed_gateway
from tests.integration.gateway.raw_http import raw_upstream

_EXAMPLES = int(os.environ.get("FARTHING_EXAMPLES", "300")) // 3 or 1


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with (
        pytest.MonkeyPatch.context() as patched,
        raw_upstream() as upstream,
        keyed_gateway(upstream.url, tmp_path_factory.mktemp("described")) as running,
    ):
        # all of it comes from one address; how that is blocked is tested elsewhere
        patched.setattr("farthing.core.access.FailureLimit.is_blocked", lambda *_: False)
        yield running


def test_the_document_is_served(keyed: Keyed) -> None:
    answer = keyed.ask("GET", "/farthing/v1/openapi.json", key=keyed.texts["client"])
    assert (answer.status, answer.body) == (200, openapi_document())


def test_the_document_names_nothing_twice() -> None:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), [name for name, _ in pairs]
        return dict(pairs)

    json.loads(openapi_document(), object_pairs_hook=once)


def test_the_document_knows_the_levers_that_there_are() -> None:
    levers = msgspec.json.decode(openapi_document())["components"]["schemas"]["Levers"]
    families = {f"{lever.family}.*" for lever in LEVERS.values()}
    assert sorted(levers["items"]["enum"]) == sorted({"*", *families, *LEVERS})


@pytest.mark.long
@pytest.mark.parametrize("role", ["admin", "viewer", "client"])
def test_generated_requests_are_answered_as_the_document_says(keyed: Keyed, role: str) -> None:
    import schemathesis
    from schemathesis.core.result import Ok
    from schemathesis.generation.modes import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_dict(msgspec.json.decode(openapi_document()))
    # zones, amounts and windows that go with a scope are more than a schema can say
    beyond_a_schema: list[Any] = [positive_data_acceptance]
    headers = {"x-api-key": keyed.texts[role]}
    tried = set()

    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert operations
    for operation in operations:
        for mode in GenerationMode:
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=_EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def ask(case: schemathesis.Case) -> None:
                answer = case.call(base_url=keyed.gateway.url, headers=headers)
                excluded = beyond_a_schema if "/budgets" in case.operation.path else []
                case.validate_response(answer, excluded_checks=excluded)
                tried.add((case.operation.label, answer.status_code))

            ask()

    statuses = {status for _, status in tried}
    assert max(statuses) < 500
    assert {label for label, _ in tried} == {operation.label for operation in operations}


@pytest.mark.long
def test_what_is_made_is_found_and_what_is_removed_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sequences, each on a gateway of its own: keys made, rotated, revoked; budgets set, raised."""
    monkeypatch.setattr("farthing.core.access.FailureLimit.is_blocked", lambda *_: False)
    import schemathesis
    from hypothesis.stateful import run_state_machine_as_test
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_dict(msgspec.json.decode(openapi_document()))
    statuses, steps, folders = set[int](), set[tuple[str, str]](), count()

    class Sequences(schema.as_state_machine()):  # type: ignore[misc]  # made at run time
        def setup(self) -> None:
            self.last = ""
            self.running = ExitStack()
            upstream = self.running.enter_context(raw_upstream())
            folder = tmp_path / str(next(folders))
            folder.mkdir()
            self.keyed = self.running.enter_context(keyed_gateway(upstream.url, folder))

        def teardown(self) -> None:
            self.running.close()

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            headers = {"x-api-key": self.keyed.texts["admin"]}
            return {"base_url": self.keyed.gateway.url, "headers": headers}

        def validate_response(self, response: Any, case: schemathesis.Case, **more: Any) -> None:
            statuses.add(response.status_code)
            steps.add((self.last, case.operation.label))
            self.last = case.operation.label
            excluded: list[Any] = [positive_data_acceptance] if "/budgets" in self.last else []
            case.validate_response(response, excluded_checks=excluded)

    run_state_machine_as_test(
        Sequences,
        settings=settings(
            max_examples=_EXAMPLES // 2 or 1,
            stateful_step_count=8,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    keys = "/farthing/v1/keys"
    assert max(statuses) < 500
    assert (f"POST {keys}", f"DELETE {keys}/{{name}}") in steps
    assert (f"POST {keys}", f"POST {keys}/{{name}}/rotate") in steps
    assert any(label.startswith("PUT /farthing/v1/budgets/") for _, label in steps)
