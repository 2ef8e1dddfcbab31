from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from farthing.errors import LedgerError
from farthing.ledger.lock import ProcessLock, owner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the lock is POSIX's")

HOLDS = """
import sys, pathlib
from farthing.ledger.lock import ProcessLock
lock = ProcessLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_owner_is_refused_with_the_number_of_the_first(tmp_path):
    path = tmp_path / "ledger.db.lock"
    first = ProcessLock(path)

    with pytest.raises(LedgerError, match=f"in use by process {os.getpid()} "):
        ProcessLock(path)

    first.close()
    ProcessLock(path).close()


def test_closing_twice_is_harmless(tmp_path):
    lock = ProcessLock(tmp_path / "lock")
    lock.close()
    lock.close()


def test_the_lock_goes_with_its_process_even_if_that_is_killed(tmp_path):
    path = tmp_path / "lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(LedgerError, match=f"process {other.pid} "):
        ProcessLock(path)

    other.kill()
    other.wait()
    other.stdout.close()
    other.stdin.close()

    ProcessLock(path).close()


#: takes the lock, leaves it to a child, and is killed; the child keeps it until its input ends
LEAVES = """
import os, pathlib, signal, subprocess, sys
from farthing.ledger.lock import ProcessLock
lock = ProcessLock(pathlib.Path(sys.argv[1]))
subprocess.Popen(
    [sys.executable, "-c", "import sys; print('held', flush=True); sys.stdin.read()"],
    pass_fds=[lock.fileno()],
)
os.kill(os.getpid(), signal.SIGKILL)
"""


def orphan(path):
    """What is left of a process that was killed: its child, which has the lock."""
    dead = subprocess.Popen(
        [sys.executable, "-c", LEAVES, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert dead.stdout is not None
    assert dead.stdout.readline() == b"held\n"
    dead.wait()
    return dead


def test_the_child_of_a_dead_owner_is_waited_for(tmp_path):
    path = tmp_path / "lock"
    with orphan(path) as dead:
        ends = threading.Timer(0.2, dead.stdin.close)
        ends.start()
        ProcessLock(path).close()
        assert ends.finished.is_set()
        ends.join()


def test_the_child_of_a_dead_owner_is_not_waited_for_without_end(tmp_path):
    path = tmp_path / "lock"
    with orphan(path) as dead:
        with pytest.raises(LedgerError, match=f"in use by process {dead.pid} "):
            ProcessLock(path, patience=0.1)
        assert owner(path) == dead.pid
