"""``import farthing``: every name resolves, says what it does, and its example runs."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import farthing
from farthing import errors

#: need Claude, so their examples run in tests/integration/sdk
NEED_CLAUDE: Final = frozenset({"AsyncSession", "Farthing", "Session", "batch", "session"})
#: values, and types whose makers show them
WITHOUT_EXAMPLE: Final = frozenset(
    {
        "TASK_MODELS",
        "FarthingError",
        "LoopMatch",
        "Task",
        "TaskModels",
        "UnpricedModelError",
        "__version__",
    }
)
WITH_EXAMPLE: Final = sorted(set(farthing.__all__) - NEED_CLAUDE - WITHOUT_EXAMPLE)


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_the_docstring_of_a_function_has_an_example_that_runs(name):
    value = getattr(farthing, name)
    module = sys.modules[value.__module__]
    (example,) = doctest.DocTestFinder(recurse=False).find(
        value, name=name, module=module, globs=vars(module)
    )

    results = doctest.DocTestRunner().run(example)

    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("name", sorted(set(farthing.__all__) - {"TASK_MODELS", "__version__"}))
def test_every_name_says_what_it_does(name):
    assert inspect.getdoc(getattr(farthing, name))


def test_the_three_lists_of_names_agree():
    tree = ast.parse(Path(inspect.getfile(farthing)).read_text("utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    seen_by_type_checkers = {
        alias.asname or alias.name
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert set(farthing._PLACES) == set(farthing.__all__) - {"__version__"}
    assert seen_by_type_checkers == set(farthing._PLACES)


def test_dir_shows_the_names_before_they_are_loaded():
    code = "import farthing; print(*dir(farthing))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(farthing.__all__) <= set(run.stdout.split())


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        farthing.no_such_name  # noqa: B018  the look-up is the test


def test_a_name_is_looked_up_once():
    assert farthing.select_model is farthing.select_model
    assert "select_model" in vars(farthing)


@pytest.mark.parametrize(
    "statement",
    [
        "from farthing import LoopDetector, cached, prune_messages, summarize_history",
        "from farthing import check_cache_hit, cost_per_task, estimate_cost, select_model",
        "from farthing import BudgetExceededError, LoopDetectedError",
    ],
)
def test_the_pure_names_need_no_network_and_no_sdk(statement):
    heavy = {"anthropic", "asyncio", "httpx2", "logging", "socket", "sqlite3"}
    code = f"import sys; {statement}\nprint(*{heavy} & {{*sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == ""


@pytest.mark.parametrize(
    ("call", "extra"), [("farthing.session()", "sdk"), ("farthing.batch.results('x')", "sdk")]
)
def test_without_the_sdk_the_message_says_what_to_install(call, extra):
    code = (
        "import sys; sys.modules['anthropic'] = None\n"
        f"import farthing\ntry: {call}\nexcept farthing.FarthingError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert f"pip install 'farthing[{extra}]'" in run.stdout


def test_the_articles_name_of_the_budget_error_is_the_trees_own_class():
    assert farthing.BudgetExceededError is errors.BudgetExceeded


def test_a_budget_error_needs_a_message_only():
    error = farthing.BudgetExceededError("spent")

    assert str(error) == "spent"
    assert (error.scope, error.limit, error.spent, error.held, error.estimated) == (None,) * 5


def test_a_loop_error_carries_its_match():
    detector = farthing.LoopDetector(repeats=2)
    detector.record("a")
    match = detector.record("a")

    assert farthing.LoopDetectedError("again and again", match=match).match is match
    assert farthing.LoopDetectedError("again and again").match is None
