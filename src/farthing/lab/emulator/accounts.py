"""Who a key belongs to: organizations and workspaces, by a naming rule or by a given table.

Any key is accepted unless a table is given. A key of the form ``sk-emu-ORG`` or
``sk-emu-ORG.WORKSPACE`` (with an optional ``:NAME``) belongs to that organization and workspace, an
admin key is ``sk-ant-admin01-ORG``; any other key belongs to organization ``default``, workspace
``default``. A key that contains ``invalid`` is refused, so that a 401 can be had without a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from farthing.lab.emulator.call import Account
from farthing.lab.emulator.ids import spell_id
from farthing.lab.emulator.refusal import Refusal

__all__ = ["find_account", "organization_id", "workspace_id"]

_NAMED = re.compile(r"sk-emu-(?P<org>[a-z0-9]+)(?:\.(?P<workspace>[a-z0-9-]+))?(?::.*)?")
_ADMIN = "sk-ant-admin01-"


def find_account(headers: Mapping[str, str], keys: Mapping[str, Account]) -> Account:
    """The account of a request: ``x-api-key`` or a Bearer key, both are accepted (section 4.6)."""
    key = headers.get("x-api-key", "")
    if not key:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else ""
    if not key:
        raise Refusal(401, "x-api-key header is required")
    account = keys.get(key) if keys else _by_name(key)
    if account is None:
        raise Refusal(401, "invalid x-api-key")
    return account


@lru_cache(maxsize=1024)
def _by_name(key: str) -> Account | None:
    if "invalid" in key:
        return None
    key_id = spell_id("apikey_", key)
    if key.startswith(_ADMIN):
        organization = key.removeprefix(_ADMIN) or "default"
        return Account(organization=organization, workspace="default", key_id=key_id, admin=True)
    named = _NAMED.fullmatch(key)
    organization = named["org"] if named else "default"
    workspace = (named["workspace"] if named else None) or "default"
    return Account(organization=organization, workspace=workspace, key_id=key_id)


@lru_cache(maxsize=1024)
def organization_id(account: Account) -> str:
    """The id that ``anthropic-organization-id`` carries: shaped like a UUID."""
    raw = spell_id("", account.organization, 32).encode().hex()[:32]
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:32]}"


@lru_cache(maxsize=1024)
def workspace_id(account: Account) -> str | None:
    """The workspace's id; the default workspace has none in reports (section 7)."""
    if account.workspace == "default":
        return None
    return spell_id("wrkspc_", account.scope)
