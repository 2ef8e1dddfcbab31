"""A test of a door may talk to this machine, and to nothing else."""

from __future__ import annotations

import socket

import pytest


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_is_reached(host):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1]), timeout=5) as client,
    ):
        assert client.getpeername()[0] == "127.0.0.1"


def test_an_address_elsewhere_is_refused_before_anything_is_sent():
    with (
        socket.socket() as client,
        pytest.raises((UserWarning, RuntimeError), match="allowed"),
    ):
        client.connect(("192.0.2.1", 443))


def test_a_name_elsewhere_is_not_even_resolved():
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1"):
        socket.create_connection(("api.example.com", 443), timeout=5)
