"""The wheel in a bare environment: what a user gets from ``pip install``, and nothing more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import farthing
from farthing.cli.main import COMMANDS

#: what the extras bring; farthing.testing is pytest's: whoever imports it has that
EXTRAS = {
    "aiohappyeyeballs",
    "aiohttp",
    "anthropic",
    "brotli",
    "httptools",
    "httpx2",  # of the SDK
    "opentelemetry",
    "pyarrow",
    "uvicorn",
    "uvloop",
    "zstandard",
}

NO_INDEX = (
    "no package index is reachable, so nothing can be installed: give pip one "
    "(PIP_INDEX_URL=… or PIP_FIND_LINKS=…)"
)


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def pip(python: str | Path, *arguments: str | Path, cwd: Path | None = None) -> None:
    done = run(python, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def _index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where pip cannot fetch what every installation needs anyway."""
    folder = tmp_path_factory.mktemp("probe")
    probe = ("-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, "msgspec", "hatchling")
    if run(sys.executable, *probe).returncode != 0:
        pytest.skip(NO_INDEX)


@pytest.fixture(scope="module")
def wheel(_index: None, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel CI built (FARTHING_WHEEL), else one built here from the checkout."""
    if given := os.environ.get("FARTHING_WHEEL"):
        return Path(given)
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, repo_root)
    return next(folder.glob("farthing-*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel and its own dependencies only."""
    folder = tmp_path_factory.mktemp("bare")
    # from outside: a pip of its own would take longer to unpack than all else here
    assert run(sys.executable, "-m", "venv", "--without-pip", folder).returncode == 0
    pip(sys.executable, "--python", folder / "bin" / "python", "install", "--quiet", wheel)
    return folder / "bin"


def test_version_is_printed_without_dev_dependencies(bare):
    done = run(bare / "farthing", "--version")

    assert (done.stdout.strip(), done.returncode) == (f"farthing {farthing.__version__}", 0)


def test_python_dash_m_is_the_same_command(bare):
    done = run(bare / "python", "-m", "farthing", "--version")

    assert (done.stdout.strip(), done.returncode) == (f"farthing {farthing.__version__}", 0)


def test_every_command_explains_itself_without_dev_dependencies(bare):
    each = (
        "from farthing.cli.main import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try:\n"
        "        main([name, '--help'])\n"
        "    except SystemExit as ended:\n"
        "        assert not ended.code, name\n"
        "    print('explained', name)\n"
    )
    done = run(bare / "python", "-c", each)

    assert done.returncode == 0, done.stderr
    assert {f"explained {name}" for name in COMMANDS} <= {*done.stdout.splitlines()}


def test_a_call_is_priced_without_dev_dependencies(bare):
    done = run(bare / "farthing", "price", "claude-sonnet-5", "--prompt", "1000000")

    assert done.returncode == 0, done.stderr


def test_every_module_of_the_wheel_imports_without_dev_dependencies(bare):
    """Only a module of an extra may miss something, and only what that extra brings."""
    walk = (
        "import farthing, importlib, pkgutil\n"
        f"extras = {sorted(EXTRAS)!r}\n"
        "for module in pkgutil.walk_packages(farthing.__path__, 'farthing.'):\n"
        "    if module.name in {'farthing.__main__', 'farthing.testing'}:\n"
        "        continue\n"
        "    try:\n"
        "        importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        if error.name not in extras:\n"
        "            raise\n"
    )

    done = run(bare / "python", "-c", walk)

    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_package_its_types_and_its_licence_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    info = f"farthing-{farthing.__version__}.dist-info/"

    assert [n for n in names if not n.startswith(("farthing/", info))] == []
    assert [n for n in names if re.search(r"(^|/)(tests?|conftest)[/.]|/test_", n)] == []
    assert {"farthing/py.typed", f"{info}licenses/LICENSE"} <= {*names}


def test_the_wheel_asks_for_one_package(wheel):
    info = f"farthing-{farthing.__version__}.dist-info/METADATA"
    metadata = zipfile.ZipFile(wheel).read(info).decode()

    required = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)

    assert [line for line in required if "extra ==" not in line] == ["msgspec>=0.19"]


@pytest.mark.skipif("FARTHING_WHEEL" not in os.environ, reason="only CI (.ci/run) tests the wheel")
def test_what_is_tested_is_the_installed_wheel(repo_root):
    assert not Path(farthing.__file__).is_relative_to(repo_root / "src")
