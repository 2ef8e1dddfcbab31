"""The emulator as a value machine: one HTTP request in, one reply with its timing out.

No socket, no waiting: a shell (``app``) moves bytes and time. State that outlives a request lives
in the parts this module puts together; nothing is shared between two emulators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from farthing.lab.emulator.accounts import find_account, organization_id, workspace_id
from farthing.lab.emulator.admission import Admission
from farthing.lab.emulator.agent import Agent
from farthing.lab.emulator.answers import AnswerChain
from farthing.lab.emulator.batches import Batches
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.clock import Clock, RealClock, VirtualClock
from farthing.lab.emulator.faults import Fault, FaultPlan
from farthing.lab.emulator.ids import IdSource
from farthing.lab.emulator.messages import message_reply
from farthing.lab.emulator.model_list import list_models, show_model
from farthing.lab.emulator.prompt_cache import PromptCache
from farthing.lab.emulator.ratelimit import RateLimiter
from farthing.lab.emulator.records import Books, Received
from farthing.lab.emulator.refusal import Refusal, invalid, not_found
from farthing.lab.emulator.reply import HttpRequest, Reply, json_reply
from farthing.lab.emulator.reports import cost_report, usage_report
from farthing.lab.emulator.script import Script
from farthing.lab.emulator.serving import MessagesApi
from farthing.lab.emulator.settings import Settings
from farthing.lab.emulator.signature import Signer
from farthing.lab.emulator.thinking import ThinkingGuard

__all__ = ["Emulator"]

_VERSIONS = ("2023-06-01", "2026-10-21")
_BODY_MAX = 32 * 1024 * 1024
_BATCH_BODY_MAX = 256 * 1024 * 1024


class Emulator:
    """A stand-in for the Claude API."""

    def __init__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> None:
        self.settings = settings or Settings()
        self.clock = clock or _clock(self.settings)
        self.faults = FaultPlan()
        self.script = Script()
        self.rules = Script(endless=True)
        self.books = Books(self.settings.requests_kept)
        self._ids = IdSource(self.settings.seed)
        self._limiter = RateLimiter(self.settings.tier)
        key = blake2b(str(self.settings.seed).encode(), digest_size=32).digest()
        agent = Agent(self.settings.seed)
        self.messages = MessagesApi(
            admission=Admission(
                guard=ThinkingGuard(
                    Signer(key), accept_foreign=self.settings.accept_foreign_thinking
                ),
                limiter=self._limiter,
                cache=PromptCache(lag_ratio=self.settings.deletion_lag_ratio),
            ),
            answers=AnswerChain([self.script, self.rules, agent]),
            books=self.books,
            ids=self._ids,
            latency=self.settings.latency,
        )
        self.batches = Batches(self.messages, self.settings, self._ids)

    def handle(self, http_request: HttpRequest, now: float | None = None) -> Reply:
        """The reply to one request that arrives at ``now`` (the clock's time if not given)."""
        now = self._instant(http_request, now)
        request_id = self._ids.next("req_")
        try:
            fault = self.faults.take(http_request.path, http_request.headers)
            reply = self._route(http_request, now, request_id, fault)
        except Refusal as refusal:
            body = refusal.envelope(request_id)
            reply = json_reply(body, status=refusal.status, headers=refusal.headers)
        headers = {"request-id": request_id, **reply.headers}
        self.books.received.append(
            Received(http_request=http_request, at=now, status=reply.status, request_id=request_id)
        )
        return replace(reply, headers=headers, started_at=now)

    def body_limit(self, path: str) -> int:
        """How many bytes a request to a path may have (section 4.4)."""
        return _BATCH_BODY_MAX if path.startswith("/v1/messages/batches") else _BODY_MAX

    def load_script(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add scripted answers behind those there are."""
        self.script.extend(lines)

    def load_rules(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add rules; they answer as often as they fit."""
        self.rules.extend(lines)

    def _instant(self, http_request: HttpRequest, now: float | None) -> float:
        """When a request arrives: the header ``x-emulator-at`` wins; a virtual clock follows it."""
        now = self.clock.now() if now is None else now
        text = http_request.headers.get("x-emulator-at", "")
        try:
            at = float(text) if text else now
        except ValueError:
            return now
        if self.settings.clock == "virtual" and at > self.clock.now():
            self.clock.advance(at - self.clock.now())
        return at

    def _route(self, http_request: HttpRequest, now: float, request_id: str, fault: Fault) -> Reply:
        path = http_request.path.rstrip("/")
        if path in ("", "/api/hello"):  # probes of clients, without a key
            return json_reply({"message": "hello"})
        if len(http_request.body) > self.body_limit(path):
            raise Refusal(413, "Request exceeds the maximum size")
        call = self._call(http_request, now, request_id)
        reply = self._dispatch(http_request, path, call, fault)
        return replace(reply, headers={**_identity(call), **reply.headers})

    def _call(self, http_request: HttpRequest, now: float, request_id: str) -> Call:
        headers = http_request.headers
        account = find_account(headers, self.settings.keys)
        version = headers.get("anthropic-version")
        if version is None:
            raise invalid("anthropic-version: header is required")
        if version not in _VERSIONS:
            raise invalid(f'anthropic-version: "{version}" is not a valid version')
        betas = frozenset(text.strip() for text in headers.get("anthropic-beta", "").split(","))
        return Call(
            account=account,
            now=now,
            request_id=request_id,
            version=version,
            betas=betas,
            headers=headers,
        )

    def _dispatch(self, http_request: HttpRequest, path: str, call: Call, fault: Fault) -> Reply:
        method = http_request.method
        if path.startswith("/v1/organizations/"):
            fault.raise_if_refused()
            return self._report(http_request, path, call)
        if path.startswith("/v1/messages/batches"):
            self._limiter.admit_simple(call.account.organization, "batches", call.now)
            return self.batches.handle(http_request, path, call, fault)
        routes: dict[tuple[str, str], Callable[[], Reply]] = {
            ("POST", "/v1/messages"): lambda: message_reply(
                self.messages.serve(http_request.body, call, fault)
            ),
            ("POST", "/v1/messages/count_tokens"): lambda: self._count(http_request, call, fault),
            ("GET", "/v1/models"): lambda: list_models(http_request.query, call),
        }
        if (method, path) in routes:
            return routes[method, path]()
        fault.raise_if_refused()
        if method == "GET" and path.startswith("/v1/models/"):
            return show_model(path.removeprefix("/v1/models/"), call)
        if any(known == path for _, known in routes):
            raise Refusal(405, "Method Not Allowed")
        raise not_found(f"Not Found: {method} {path}")

    def _count(self, http_request: HttpRequest, call: Call, fault: Fault) -> Reply:
        fault.raise_if_refused()
        self._limiter.admit_simple(call.account.organization, "count_tokens", call.now)
        return json_reply(self.messages.admission.count(http_request.body, call))

    def _report(self, http_request: HttpRequest, path: str, call: Call) -> Reply:
        if not call.account.admin:
            raise Refusal(401, "An admin API key is required")
        if http_request.method == "GET" and path == "/v1/organizations/usage_report/messages":
            return json_reply(usage_report(http_request.query, self.books.lines, call))
        if http_request.method == "GET" and path == "/v1/organizations/cost_report":
            return json_reply(cost_report(http_request.query, self.books.lines, call))
        raise not_found(f"Not Found: {path}")


def _clock(settings: Settings) -> Clock:
    return VirtualClock(settings.started_at) if settings.clock == "virtual" else RealClock()


def _identity(call: Call) -> dict[str, str]:
    headers = {"anthropic-organization-id": organization_id(call.account)}
    if workspace := workspace_id(call.account):
        headers["anthropic-workspace-id"] = workspace
    return headers
