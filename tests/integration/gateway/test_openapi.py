"""The HTTP API against its own document: generated requests, right ones and wrong ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
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
