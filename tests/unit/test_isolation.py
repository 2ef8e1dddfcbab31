"""A pure test that reaches for the network fails, and no setting of the owner leaks in."""

from __future__ import annotations

import os
import socket

import pytest

BLOCKED = (UserWarning, RuntimeError)  # the guard warns before it raises; warnings are errors


def test_a_pure_test_cannot_create_a_socket():
    with pytest.raises(BLOCKED, match=r"socket\.socket"):
        socket.socket()


def test_a_pure_test_cannot_resolve_a_name():
    with pytest.raises(BLOCKED, match="getaddrinfo"):
        socket.getaddrinfo("localhost", 80)


def test_no_key_of_the_owner_is_in_the_environment():
    assert [name for name in os.environ if name.startswith(("ANTHROPIC_", "CLAUDE_"))] == []
