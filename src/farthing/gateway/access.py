"""Who may come in: the gate in front of pages and calls.

Theory of operation. Keys are *in force* from the first one on, or where the settings say so; then
every call to Claude needs a virtual key of the role ``client``, and every page the role of its row
in ``gateway.page_rules``. Without keys a gateway on loopback is open to its machine, as a program
of the user's own, and not to web pages: the ``Host`` must be a name of this machine, ``Origin`` and
a foreign ``Sec-Fetch-Site`` are refused. Beyond loopback pages need a key even where there is none
yet.

Rules of this file: a key's text lives in local variables here, never in an object, message or log;
whoever fails is told in the same words whether the id or the secret was wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from farthing.core.access import Denial, FailureLimit
from farthing.core.keys import PREFIX, VirtualKey
from farthing.driver.keys import LiveKeys
from farthing.driver.ports import Clock
from farthing.errors import RequestError
from farthing.gateway.asgi import Scope, header
from farthing.gateway.call import Call
from farthing.gateway.credentials import ForeignPage
from farthing.gateway.key_limits import check_route
from farthing.gateway.page_rules import rule_of

__all__ = [
    "Forbidden",
    "Gate",
    "GateSettings",
    "TooManyFailures",
    "Unauthenticated",
    "is_loopback",
    "source_of",
]

_Headers = Sequence[tuple[bytes, bytes]]


class Unauthenticated(RequestError):
    """A virtual key is needed here."""

    code = "access.unauthenticated"
    status_hint = 401


class Forbidden(RequestError):
    """The key may not do this."""

    code = "access.forbidden"
    status_hint = 403


class TooManyFailures(RequestError):
    """Too many wrong keys came from there."""

    code = "access.too_many_failures"
    status_hint = 429


class _NotJson(RequestError):
    """This page takes JSON only."""

    code = "request.not_json"
    status_hint = 415


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What does not change while the gateway runs."""

    #: bound to this machine only
    is_local: bool
    #: has it a provider key that whoever comes in would spend
    has_own_key: bool
    require_key: bool = False
    #: names besides those of this machine that ``Host`` may say
    hosts: frozenset[str] = frozenset()


class Gate:
    """Stands in front of everything the gateway serves."""

    def __init__(self, keys: LiveKeys, clock: Clock, settings: GateSettings) -> None:
        self._keys = keys
        self._clock = clock
        self._settings = settings
        self._limit = FailureLimit()

    @property
    def is_in_force(self) -> bool:
        """Does every call need a key?"""
        return self._settings.require_key or not self._keys.ring.is_empty

    def admit(self, call: Call) -> None:
        """Let a call to Claude in, with the key it came with; raises where it may not."""
        if not self.is_in_force:
            if self._settings.has_own_key and self._settings.is_local:
                self._refuse_rebinding(call.headers)
            return
        key = self._key(call.headers, call.peer)
        if key.role != "client":
            raise Forbidden(
                f"a key of the role {key.role!r} cannot call Claude; take one of the role 'client'"
            )
        call.key = key
        check_route(key, call.method, call.path)

    def admit_to_page(self, scope: Scope) -> VirtualKey | None:
        """Let a request to a page of ours in; None: no key was needed."""
        rule = rule_of(scope["method"], scope["path"])
        headers: _Headers = scope["headers"]
        if rule.roles is None:
            return None
        _refuse_foreign(headers)
        if self._settings.is_local:
            self._refuse_rebinding(headers)
        is_closed = self.is_in_force or rule.is_always_closed or not self._settings.is_local
        key = None
        if is_closed:
            client = scope.get("client")
            key = self._key(headers, client[0] if client else None)
            if key.role not in rule.roles:
                needed = " or ".join(sorted(rule.roles))
                raise Forbidden(f"this page needs a key of the role {needed}, not {key.role}")
        content_type = (header(headers, b"content-type") or b"").partition(b";")[0]
        if rule.takes_json and content_type.strip().lower() != b"application/json":
            raise _NotJson("this page takes application/json only")
        return key

    def _key(self, headers: _Headers, address: str | None) -> VirtualKey:
        now_ns, source = self._clock.monotonic_ns(), source_of(address)
        found = self._keys.ring.find(_text_in(headers), self._clock.now())
        key = found if isinstance(found, VirtualKey) else None
        is_known = key is not None and self._limit.is_known(source, key.key_id, now_ns)
        if self._limit.is_blocked(source, now_ns) and not is_known:
            raise TooManyFailures("too many wrong keys came from there; wait a minute")
        if isinstance(found, VirtualKey):
            self._limit.accepted(source, found.key_id, now_ns)
            return found
        self._limit.failed(source, now_ns)
        raise Unauthenticated(_WORDS[found])

    def _refuse_rebinding(self, headers: _Headers) -> None:
        """A name somebody else owns may resolve to this machine, in a browser of its user."""
        name = _host_name((header(headers, b"host") or b"").decode("latin-1"))
        if not is_loopback(name) and name not in self._settings.hosts:
            raise ForeignPage(
                f"{name[:80]!r} is no name of this machine; use 127.0.0.1 or localhost, "
                "or let the setting access.hosts name it"
            )


_WORDS: Final[dict[Denial, str]] = {
    "missing": "a virtual key is needed here: send sk-farthing-… as x-api-key or as Authorization: "
    "Bearer; `farthing keys create` makes one",
    "unknown": "the key is not known here; ask whoever runs this gateway for a virtual key",
    "expired": "the key has expired; ask whoever runs this gateway for another",
    "revoked": "the key was revoked; ask whoever runs this gateway for another",
}
_NO_KEY: Final = "no key"
_LONGEST_CREDENTIAL: Final = 200
_FOREIGN_SITES: Final = frozenset({b"cross-site", b"same-site"})


def _text_in(headers: _Headers) -> str | None:
    """The credential a request came with: of two, the one that is a virtual key by its looks."""
    bearer = header(headers, b"authorization") or b""
    scheme, _, token = bearer.partition(b" ")
    given = [header(headers, b"x-api-key"), token if scheme.lower() == b"bearer" else None]
    texts = [one.strip().decode("latin-1") for one in given if one]
    if not texts:
        return None
    ours = [text for text in texts if text.startswith(PREFIX)]
    text = (ours or texts)[0]
    return text if len(text) <= _LONGEST_CREDENTIAL else _NO_KEY


def _refuse_foreign(headers: _Headers) -> None:
    site = (header(headers, b"sec-fetch-site") or b"").lower()
    if header(headers, b"origin") is not None or site in _FOREIGN_SITES:
        raise ForeignPage("web pages may not use the pages of the gateway")


def _host_name(host: str) -> str:
    """The name in a ``Host`` field, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def is_loopback(host: str) -> bool:
    """Is this the machine itself, as an address or by its usual name?"""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def source_of(address: str | None) -> str:
    """Where a call comes from, as it is counted: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "elsewhere"
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((found.packed, 64), strict=False).network_address)
