"""What every test here may count on: no network, no foreign settings, data, profiles.

The tests run against whatever ``farthing`` is installed (the wheel in CI, the checkout in a
developer's environment), so nothing here imports from ``src`` by path.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

ROOT: Final = Path(__file__).resolve().parent.parent

#: folders whose tests are pure: creating a socket there is already an error
SOCKETLESS: Final = frozenset({"unit", "golden", "typing", "meta"})

#: in the order in which they run; in each the order is random (pytest-randomly)
FOLDERS: Final = ("acceptance", "integration", "golden", "contract", "meta", "typing", "unit")

LOOPBACK: Final = ["127.0.0.0/8", "::1", "localhost"]
LOCAL_NAMES: Final = frozenset({None, "", "localhost", "::1"})

#: settings of the machine's owner that must not leak into a test
FOREIGN_PREFIXES: Final = ("ANTHROPIC_", "CLAUDE_", "FARTHING_")
OUR_SWITCHES: Final = frozenset({"FARTHING_DATA", "FARTHING_WHEEL", "FARTHING_EXAMPLES"})

DATA_HINT: Final = (
    "the recorded traces are not here: put them at ../shared/data beside the repository, "
    "or run with FARTHING_DATA=DIR"
)


def pytest_configure() -> None:
    """Fix what a run depends on before any test module is imported."""
    # A shell that runs this in the background has these ignored, and what tests start inherits it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for name in list(os.environ):
        if name.startswith(FOREIGN_PREFIXES) and name not in OUR_SWITCHES:
            del os.environ[name]
    # A proxy of the machine must not stand between a test and its own local server.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"
    register_hypothesis_profiles()


@pytest.fixture(autouse=True)
def _only_this_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse foreign names too: pytest-socket guards connecting, which comes after resolving."""
    if folder_of(request.node) in SOCKETLESS:
        return
    resolve = socket.getaddrinfo

    def loopback_getaddrinfo(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in LOCAL_NAMES or (name or "").startswith("127."):
            return resolve(host, *args, **kwargs)
        raise RuntimeError(f"a test tried to reach {name!r}; tests may only talk to 127.0.0.1")

    monkeypatch.setattr(socket, "getaddrinfo", loopback_getaddrinfo)


def register_hypothesis_profiles() -> None:
    """``default`` explores, ``ci`` repeats itself exactly, ``long`` is what ``long`` tests ask for.

    A long test names its profile: ``@settings(settings.get_profile("long"))``.
    """
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    settings.register_profile(
        "default", max_examples=100, deadline=None, suppress_health_check=quiet
    )
    settings.register_profile(
        "ci",
        max_examples=100,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=quiet,
    )
    settings.register_profile(
        "long",
        max_examples=int(os.environ.get("FARTHING_EXAMPLES", "100000")),
        deadline=None,
        suppress_health_check=quiet,
    )
    settings.load_profile("ci" if os.environ.get("CI") else "default")


def folder_of(item: pytest.Item) -> str:
    """``unit``, ``integration``, …: the kind of test this is."""
    return item.path.relative_to(ROOT / "tests").parts[0]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Twelve thousand tests are no garbage: looking for some among them takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the network of its folder, and long tests the time they need.

    Folders of long tests come first: what is left for the last worker to finish is then short.
    """
    items.sort(key=lambda item: FOLDERS.index(folder_of(item)))
    for item in items:
        if folder_of(item) in SOCKETLESS:
            item.add_marker(pytest.mark.disable_socket)
        else:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the recorded traces, transcripts and routing outcomes."""
    given = os.environ.get("FARTHING_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(DATA_HINT)
    return folder


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout the tests come from; the package under test may live elsewhere."""
    return ROOT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested and what this machine would need for it."""
    reasons = Counter[str]()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("NOT TESTED HERE")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")
