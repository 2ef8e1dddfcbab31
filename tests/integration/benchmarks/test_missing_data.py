"""A benchmark whose recorded data is not there has not run, and says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.required import DATA, require_data


@pytest.mark.parametrize(
    "name",
    [
        "cache_fidelity",
        "estimator",
        "fidelity_emulator",
        "guard",
        "guard_loops",
        "replay",
    ],
)
def test_without_its_data_a_benchmark_says_what_to_supply(name, repo_root, tmp_path):
    script = repo_root / "benchmarks" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, str(script), "--data", "nowhere", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(f"{name}.py: not run, 'nowhere/traces")
    assert line.endswith("beside the repository, or pass --data DIR")


def test_data_that_is_there_is_taken(tmp_path):
    assert require_data(tmp_path) == tmp_path


def test_the_data_lies_beside_the_repository_wherever_one_stands(repo_root, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert repo_root.parent / "shared" / "data" == DATA
    assert Path(DATA).is_absolute()
