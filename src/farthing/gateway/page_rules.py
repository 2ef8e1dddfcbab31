"""Every page of ours: its methods, the roles that may use it, and what it takes.

A path without a row is not served, whatever the code behind the gate would do with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from farthing.core.keys import Role
from farthing.errors import RequestError

__all__ = ["PAGES", "NotFound", "PageRule", "WrongMethod", "rule_of"]


class NotFound(RequestError):
    """There is no such page or exchange here."""

    code = "request.not_found"
    status_hint = 404


class WrongMethod(RequestError):
    """This page does not take that method."""

    code = "request.wrong_method"
    status_hint = 405


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRule:
    """Who may use a page."""

    methods: frozenset[str]
    #: as in the OpenAPI document
    path: str
    #: None: everybody
    roles: frozenset[Role] | None
    #: needs a key also where none is in force
    is_always_closed: bool = False
    #: takes a body of ``application/json`` and no other
    takes_json: bool = False

    def matches(self, path: str) -> bool:
        """Is this the rule of a path? What stands for a name may hold slashes."""
        return _pattern(self.path).fullmatch(path) is not None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", path)
    return re.compile(".*".join(map(re.escape, parts)), re.DOTALL)


_GET: Final = frozenset({"GET", "HEAD"})
_POST: Final = frozenset({"POST"})
_PUT: Final = frozenset({"PUT"})
_DELETE: Final = frozenset({"DELETE"})
_READERS: Final[frozenset[Role]] = frozenset({"viewer", "admin"})
_ADMINS: Final[frozenset[Role]] = frozenset({"admin"})
_CLIENTS: Final[frozenset[Role]] = frozenset({"client"})
_V1: Final = "/farthing/v1"


def _change(methods: frozenset[str], path: str, *, takes_json: bool = True) -> PageRule:
    """A page with which admins change something: closed also where no key is in force."""
    return PageRule(
        methods=methods, path=path, roles=_ADMINS, is_always_closed=True, takes_json=takes_json
    )


#: every page there is; a client sees and judges what is its own (``pages``)
PAGES: Final = (
    PageRule(methods=_GET, path="/livez", roles=None),
    PageRule(methods=_GET, path="/readyz", roles=None),
    PageRule(methods=_GET, path="/metrics", roles=_READERS),
    PageRule(methods=_GET, path=f"{_V1}/openapi.json", roles=_READERS | _CLIENTS),
    PageRule(methods=_GET, path=f"{_V1}/exchanges/{{id}}", roles=_READERS | _CLIENTS),
    PageRule(methods=_POST, path=f"{_V1}/tasks/{{id}}/outcome", roles=_ADMINS | _CLIENTS),
    PageRule(methods=_GET, path=f"{_V1}/circuits", roles=_READERS),
    PageRule(methods=_GET, path=f"{_V1}/keys", roles=_READERS, is_always_closed=True),
    _change(_POST, f"{_V1}/keys"),
    _change(_POST, f"{_V1}/keys/{{name}}/rotate"),
    _change(_DELETE, f"{_V1}/keys/{{name}}", takes_json=False),
    PageRule(methods=_GET, path=f"{_V1}/budgets", roles=_READERS),
    # Before the page of one budget, because what stands for a name may hold slashes.
    _change(_POST, f"{_V1}/budgets/{{budget}}/raises"),
    PageRule(methods=_GET, path=f"{_V1}/budgets/{{budget}}", roles=_READERS),
    _change(_PUT, f"{_V1}/budgets/{{budget}}"),
    _change(_DELETE, f"{_V1}/budgets/{{budget}}", takes_json=False),
)


def rule_of(method: str, path: str) -> PageRule:
    """The rule of a page; ``NotFound`` and ``WrongMethod`` where there is none."""
    on_path = [rule for rule in PAGES if rule.matches(path)]
    for rule in on_path:
        if method in rule.methods:
            return rule
    if not on_path:
        raise NotFound(f"there is no page {path[:200]!r} here; docs/gateway.md lists them")
    taken = sorted(frozenset[str]().union(*(rule.methods for rule in on_path)))
    raise WrongMethod(f"{path[:200]!r} takes {' and '.join(taken)} only")
