"""``/farthing/v1/keys``: make, list, rotate and revoke virtual keys; and the API's own document.

The gate has asked for a key of the right role before anything here runs. A change is written before
it is answered and in force when the answer leaves. The text of a key is in the one answer that made
it and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Annotated, Any, Final, TypeVar

import msgspec

from farthing.core.keys import Role, VirtualKey
from farthing.driver.keys import Issued, KeyDesk, LiveKeys, NewKey
from farthing.errors import ConfigError, RequestError
from farthing.gateway.asgi import Receive, Scope, Send, answer
from farthing.gateway.bodies import read_body

__all__ = ["KEYS", "OPENAPI", "KeyPages", "key_document", "openapi_document"]

KEYS: Final = "/farthing/v1/keys"
OPENAPI: Final = "/farthing/v1/openapi.json"

_ROTATE: Final = "/rotate"
_MAX_BODY_BYTES: Final = 16 * 1024
_NO_STORE: Final = (b"cache-control", b"no-store")
_LONGEST_OVERLAP: Final = 30 * 86_400

_Body = TypeVar("_Body")
_Patterns = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=121)]], msgspec.Meta(max_length=100)
]


class _NewKeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    role: Role = "client"
    models: _Patterns | None = None
    levers: _Patterns | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _RotateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    #: for how long the old secret is still accepted
    keep_seconds: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_OVERLAP)] = 0


def key_document(key: VirtualKey, now: datetime) -> dict[str, Any]:
    """A key as pages and ``--json`` show it: nothing of its secret."""
    return {
        "name": key.name,
        "key_id": key.key_id,
        "role": key.role,
        "state": key.state_at(now),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
        "models": key.models,
        "levers": key.levers,
    }


def openapi_document() -> bytes:
    """The description of ``/farthing/v1``."""
    return (files("farthing.gateway") / "openapi.json").read_bytes()


class KeyPages:
    """Answers what is about keys."""

    def __init__(self, desk: KeyDesk, keys: LiveKeys, now: Callable[[], datetime]) -> None:
        self._desk = desk
        self._keys = keys
        self._now = now

    async def list(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """All keys."""
        found = await asyncio.to_thread(self._desk.keys)
        await self._say(send, 200, {"keys": [key_document(key, self._now()) for key in found]})

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A new key, with its text."""
        said = _parse(await read_body(receive, _MAX_BODY_BYTES), _NewKeyBody)
        wanted = NewKey(
            name=said.name,
            role=said.role,
            models=said.models,
            levers=said.levers,
            expires_at=said.expires_at,
        )
        issued = await self._do(lambda: self._desk.create(wanted, actor=_actor(scope)))
        await self._show(send, 201, issued)

    async def rotate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A new secret for a key, with its text."""
        said = _parse(await read_body(receive, _MAX_BODY_BYTES), _RotateBody)
        keep = timedelta(seconds=said.keep_seconds)
        name = scope["path"].removeprefix(f"{KEYS}/").removesuffix(_ROTATE)
        issued = await self._do(lambda: self._desk.rotate(name, actor=_actor(scope), keep=keep))
        await self._show(send, 200, issued)

    async def revoke(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The end of a key."""
        name = scope["path"].removeprefix(f"{KEYS}/")
        key = await self._do(lambda: self._desk.revoke(name, actor=_actor(scope)))
        await self._say(send, 200, key_document(key, self._now()))

    async def describe(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """The OpenAPI document."""
        await answer(send, 200, openapi_document())

    async def _do(self, change: Callable[[], _Body]) -> _Body:
        """Off the event loop, because it waits for the disk; in force before it is answered."""
        try:
            return await asyncio.to_thread(change)
        except ConfigError as error:  # a name or pattern that a client of the API wrote
            raise RequestError(str(error)) from None
        finally:
            self._keys.refresh()

    async def _show(self, send: Send, status: int, issued: Issued) -> None:
        document = {"key": issued.text, **key_document(issued.key, self._now())}
        await self._say(send, status, document)

    async def _say(self, send: Send, status: int, document: dict[str, Any]) -> None:
        await answer(send, status, msgspec.json.encode(document), headers=[_NO_STORE])


def _actor(scope: Scope) -> str:
    key: VirtualKey = scope["farthing.key"]
    return f"key {key.name}"


def _parse(body: bytes, type_: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(
            f"the request cannot be read: {error}; /farthing/v1/openapi.json says what it takes"
        ) from None
