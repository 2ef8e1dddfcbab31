"""Every exception of aiohttp is one of ours, and says whether the request can have left."""

from __future__ import annotations

import inspect

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from farthing.errors import UpstreamCut, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from farthing.transport import translation
from farthing.transport.translation import RULES, translation_of

FOREIGN = sorted(
    (
        found
        for _, found in inspect.getmembers(aiohttp, inspect.isclass)
        if issubclass(found, aiohttp.ClientError)
    ),
    key=lambda found: found.__name__,
)
KEY = ConnectionKey("api.test", 443, True, True, None, None, None)


def made(kind):
    """An instance, without the constructors' many arguments."""
    error = kind.__new__(kind)
    Exception.__init__(error, "secret-in-a-message")
    return error


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_foreign_exception_has_a_rule(kind):
    ours = translation_of(made(kind))

    assert isinstance(ours, UpstreamError)
    assert type(ours) is not UpstreamError


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_no_message_repeats_the_foreign_text(kind):
    assert "secret" not in str(translation_of(made(kind)))


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, OSError("no name")), UpstreamUnreachable),
        (aiohttp.ClientConnectorError(KEY, OSError("refused")), UpstreamUnreachable),
        (aiohttp.ClientProxyConnectionError(KEY, OSError("refused")), UpstreamUnreachable),
        (aiohttp.ConnectionTimeoutError(), UpstreamUnreachable),
        (aiohttp.SocketTimeoutError(), UpstreamTimeout),
        (aiohttp.ServerDisconnectedError(), UpstreamCut),
        (aiohttp.ClientPayloadError(), UpstreamCut),
        (aiohttp.ClientOSError(), UpstreamCut),
        (ConnectionResetError(), UpstreamCut),
        (TimeoutError(), UpstreamTimeout),
        (ValueError("a control character"), UpstreamUnreachable),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_the_most_specific_rule_wins(foreign, ours):
    assert type(translation_of(foreign)) is ours


def test_what_failed_before_the_request_left_says_so():
    assert UpstreamUnreachable().was_sent is False
    assert UpstreamCut().was_sent is True
    assert UpstreamTimeout().was_sent is True


@pytest.mark.parametrize("foreign", [rule[0] for rule in RULES])
def test_whatever_has_a_rule_is_caught(foreign):
    assert issubclass(foreign, translation.FOREIGN)
