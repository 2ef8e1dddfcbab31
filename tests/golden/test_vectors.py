"""The golden vectors of the library: this language gives what every other one must give."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest

import farthing
from tests.golden.library_calls import CALLS, INVALID_ARGUMENT, outcome_of
from tests.unit.core.talks import violations

FOLDER: Final = Path(__file__).with_name("vectors")
FILES: Final = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
VECTORS: Final = [
    pytest.param(name, vector, id=f"{name}: {vector['name']}")
    for name, file in sorted(FILES.items())
    for vector in file["vectors"]
]


@pytest.mark.parametrize(("function", "vector"), VECTORS)
def test_a_vector_holds(function: str, vector: dict[str, Any]):
    outcome = outcome_of(function, copy.deepcopy(vector["arguments"]))

    assert {name: vector[name] for name in ("expected", "error") if name in vector} == outcome


@pytest.mark.parametrize(("function", "vector"), VECTORS)
def test_a_call_leaves_its_arguments_alone(function: str, vector: dict[str, Any]):
    arguments = copy.deepcopy(vector["arguments"])

    outcome_of(function, arguments)

    assert arguments == vector["arguments"]


@pytest.mark.parametrize(("function", "vector"), VECTORS)
def test_a_vector_has_the_documented_shape(function: str, vector: dict[str, Any]):
    assert vector.keys() in ({"name", "arguments", "expected"}, {"name", "arguments", "error"})
    assert isinstance(vector["name"], str)
    assert isinstance(vector["arguments"], dict)
    assert vector.get("error", INVALID_ARGUMENT) in {
        INVALID_ARGUMENT,
        farthing.UnpricedModelError.code,
        "config",
    }


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_names_its_function_and_no_vector_twice(name: str):
    names = [vector["name"] for vector in FILES[name]["vectors"]]

    assert FILES[name]["function"] == name
    assert sorted(names) == sorted(set(names))


def test_every_pure_function_has_vectors():
    assert FILES.keys() == CALLS.keys()


@pytest.mark.parametrize("vector", FILES["prune_messages"]["vectors"], ids=lambda v: v["name"])
def test_what_a_vector_of_pruning_expects_could_be_sent(vector: dict[str, Any]):
    messages = vector["expected"]
    if not messages or messages[-1]["role"] != "user":
        return
    tools = [{"name": "read", "input_schema": {"type": "object"}}]
    request = {"model": "claude-opus-5-5", "max_tokens": 9, "tools": tools, "messages": messages}

    assert violations(request) == ()


@pytest.mark.parametrize("function", ["cost_per_task", "estimate_cost"])
def test_no_cost_is_negative(function: str):
    costs = [vector.get("expected", 0.0) for vector in FILES[function]["vectors"]]

    assert min(costs) >= 0
