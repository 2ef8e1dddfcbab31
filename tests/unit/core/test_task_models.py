"""The routing tables are what the articles teach, and their models have prices."""

from __future__ import annotations

from datetime import date

import pytest

from farthing.core.task_models import TASK_MODELS, TaskModels, select_model
from farthing.errors import ConfigError
from farthing.pricing import find_card, traits

TODAY = date(2026, 11, 21)
TIERS = {
    "creative_writing": "sonnet",
    "code_generation": "sonnet",
    "analysis": "opus",
    "planning": "opus",
    "classification": "haiku",
    "summarization": "haiku",
    "classify": "haiku",
    "extract": "haiku",
    "summarize": "haiku",
    "reason": "sonnet",
    "code_review": "sonnet",
    "analyze": "sonnet",
    "research": "opus",
    "something_else": "sonnet",
    "": "sonnet",
}
OWN = TaskModels(models={"chat": "small"}, default="large", length_limits={"small": 10})


@pytest.mark.parametrize("policy", [None, *TASK_MODELS])
@pytest.mark.parametrize(("task_type", "tier"), TIERS.items())
def test_each_task_type_goes_where_the_articles_send_it(task_type, tier, policy):
    assert f"-{tier}-" in select_model(task_type, policy=policy)


@pytest.mark.parametrize(
    ("length", "policy", "model"),
    [
        (50_000, "articles", "claude-haiku-4-5"),
        (50_001, "articles", "claude-sonnet-4-6"),
        (50_001, "current", "claude-haiku-5-5"),
        (100_000, "current", "claude-haiku-5-5"),
        (100_001, "current", "claude-sonnet-5-5"),
        (100_001, None, "claude-sonnet-5-5"),
    ],
)
def test_a_long_input_leaves_the_cheap_model_at_that_models_own_length(length, policy, model):
    assert select_model("classify", length, policy=policy) == model


def test_the_length_of_the_current_table_is_where_the_price_band_ends():
    card = find_card("claude-haiku-5-5", on=TODAY)

    assert card is not None
    assert card.rates_for(100_000) != card.rates_for(100_001)


def test_a_long_input_stays_with_the_other_models():
    assert select_model("research", 900_000) == "claude-opus-5-5"


@pytest.mark.parametrize(("length", "model"), [(10, "small"), (11, "large")])
def test_a_table_of_ones_own(length, model):
    assert select_model("chat", length, policy=OWN) == model


@pytest.mark.parametrize("table", TASK_MODELS.values(), ids=TASK_MODELS)
def test_every_model_of_the_tables_is_known_and_priced(table):
    for model in {*table.models.values(), table.default, *table.length_limits}:
        assert traits(model) is not None
        assert find_card(model, on=TODAY) is not None


def test_an_unknown_table_is_named_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"'articels'.*'current', 'articles'"):
        select_model("classify", policy="articels")


def test_a_length_below_zero_is_refused():
    with pytest.raises(ValueError, match="-1"):
        select_model("classify", -1)


def test_the_shipped_tables_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        TASK_MODELS["current"].models["classify"] = "x"  # type: ignore[index]  # what is tested
