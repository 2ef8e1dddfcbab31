"""A key of the gateway's own is a key, or the gateway does not start."""

from __future__ import annotations

import pytest

from farthing.errors import ConfigError
from farthing.gateway.credentials import Credentials


@pytest.mark.parametrize("key", ["", " ", "sk-one\nsk-two", "sk-one\r\nx-admin: 1", "sk-ключ"])
def test_what_is_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Credentials(key)

    assert not key.strip() or key not in str(refused.value)


def test_a_key_takes_the_place_of_the_clients() -> None:
    outgoing = Credentials("sk-own").outgoing([(b"x-api-key", b"sk-client"), (b"a", b"b")])

    assert outgoing == [(b"a", b"b"), (b"x-api-key", b"sk-own")]
