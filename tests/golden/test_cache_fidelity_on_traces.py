"""The figures that the prompt-cache model reaches on recorded provider accounting."""

from __future__ import annotations

from datetime import datetime

import pytest

from benchmarks.cache_fidelity import MAIN, SUBAGENTS, Replay, figures
from benchmarks.recorded_calls import load_rows
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_forecast import Forecast


class Forgetful(PromptCache):
    """A model that knows nothing: each request is the first it sees."""

    def predict(self, view: PrefixView, now: datetime) -> Forecast:
        return PromptCache().predict(view, now)


def figures_of(data_dir, cache: PromptCache) -> dict[str, float]:
    rows = [row for name in (MAIN, SUBAGENTS) for row in load_rows(data_dir / name)]
    scored = Replay(cache).run([call for _, calls in rows for call in calls])
    return figures([each for each in scored if not each.call.row.is_subagent])


@pytest.fixture(scope="module")
def replayed(data_dir):
    return figures_of(data_dir, PromptCache())


def test_a_model_that_knows_nothing_fails_the_figures(data_dir):
    forgetful = figures_of(data_dir, Forgetful())

    assert forgetful["hard_balanced_accuracy"] < 0.5
    assert forgetful["abs_dollar_error_unbroken"] > 1


@pytest.mark.parametrize(
    ("figure", "least", "most"),
    [
        ("hard_balanced_accuracy", 0.85, 1),
        ("hard_balanced_accuracy_read_or_not", 0.94, 1),
        ("easy_accuracy", 0.994, 1),
        ("abs_dollar_error_unbroken", 0, 0.01),
        # what sessions outside the recording keep warm included (docs/design/prompt-cache.md)
        ("abs_dollar_error_unbroken_with_revivals", 0, 0.025),
        ("expected_over_actual_usd", 0.98, 1.02),
    ],
)
def test_recorded_reads_and_writes_are_foreseen_this_well(replayed, figure, least, most):
    assert least <= replayed[figure] <= most
