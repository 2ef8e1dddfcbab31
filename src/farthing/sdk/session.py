"""``farthing.session``: a conversation with Claude that has a budget and cannot run away."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from farthing.core.loop_detector import LoopDetector
from farthing.core.task_models import TaskModels
from farthing.errors import ConfigError
from farthing.pricing.money import PICO_PER_USD
from farthing.sdk.session_budget import SessionBudget, parse_budget
from farthing.sdk.session_tools import RunnableTool, RunTool, Toolbox
from farthing.sdk.session_turn import Ask, Conversation, Effect
from farthing.sdk.task import Task, current_task, fitting_name

if TYPE_CHECKING:
    import anthropic

__all__ = ["AsyncSession", "Session", "SessionOptions", "session"]


class SessionOptions(TypedDict, total=False):
    """What else a session can be told."""

    #: the system prompt, as text or as blocks
    system: str | Sequence[Mapping[str, Any]] | None
    #: functions made with ``@anthropic.beta_tool``, or plain definitions together with ``run_tool``
    tools: Iterable[RunnableTool | Mapping[str, Any]]
    run_tool: RunTool | None
    #: the most output of one answer, and what the estimate reckons with
    max_tokens: int
    #: the routing table, as for ``select_model``
    policy: TaskModels | str | None
    detector: LoopDetector | None


class _SessionView:
    """What both kinds of session show."""

    def __init__(self, budget_usd: Decimal | float | str | None, options: SessionOptions) -> None:
        self._conversation = Conversation(
            system=options.get("system"),
            toolbox=Toolbox(options.get("tools") or (), options.get("run_tool")),
            max_tokens=options.get("max_tokens", 4096),
            policy=options.get("policy"),
            budget=SessionBudget(parse_budget(budget_usd)),
            detector=options.get("detector") or LoopDetector(),
        )
        self._task = Task("session", task_id=None, parent=current_task())
        self._last_task: Task | None = None

    @property
    def task(self) -> Task:
        """The whole session as a task, for a client with ``middleware=[farthing.Farthing()]``."""
        return self._task

    @property
    def last_task(self) -> Task | None:
        """The turn that was begun last, a task below the session's: judge it with ``passed()``."""
        return self._last_task

    def _next_task(self, task_type: str) -> Task:
        self._last_task = Task(fitting_name(task_type), task_id=None, parent=self._task)
        return self._last_task

    @property
    def budget(self) -> float | None:
        """Dollars this session may spend; None: no cap."""
        cap = self._conversation.budget.cap
        return None if cap is None else cap / PICO_PER_USD

    @property
    def spent(self) -> float:
        """Dollars spent so far, by the provider's own counts."""
        return self._conversation.budget.spent / PICO_PER_USD

    @property
    def held(self) -> float:
        """Dollars held: for calls under way, and for calls whose outcome was never seen."""
        return self._conversation.budget.held / PICO_PER_USD

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation so far, in a list of your own."""
        return list(self._conversation.messages)


class Session(_SessionView):
    """A conversation over ``anthropic.Anthropic``."""

    def __init__(
        self,
        client: anthropic.Anthropic,
        budget_usd: Decimal | float | str | None,
        options: SessionOptions,
    ) -> None:
        super().__init__(budget_usd, options)
        self._client = client
        #: thinking is bound to all that was said before it, so no other turn may come in between
        self._one_by_one = threading.Lock()

    def turn(self, task_type: str, user_message: str) -> str:
        """Say something; returns Claude's words, after all tools that it called."""
        with self._one_by_one, self._next_task(task_type):
            return self._drive(task_type, user_message)

    def _drive(self, task_type: str, user_message: str) -> str:
        steps = self._conversation.turn(task_type, user_message, on=_today())
        effect = next(steps)
        while True:
            try:
                reply = self._perform(effect)
            except BaseException as error:  # noqa: BLE001  the turn decides what it means
                effect = steps.throw(error)
                continue
            try:
                effect = steps.send(reply)
            except StopIteration as end:
                return str(end.value)

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Ask):
            return self._client.messages.create(**effect.request)
        output = self._conversation.toolbox.run(effect.name, effect.arguments)
        if inspect.iscoroutine(output):
            output.close()
            raise ConfigError(f"{effect.name!r} is async: use it with client=AsyncAnthropic()")
        return output


class AsyncSession(_SessionView):
    """A conversation over ``anthropic.AsyncAnthropic``."""

    def __init__(
        self,
        client: anthropic.AsyncAnthropic,
        budget_usd: Decimal | float | str | None,
        options: SessionOptions,
    ) -> None:
        super().__init__(budget_usd, options)
        self._client = client
        #: thinking is bound to all that was said before it, so no other turn may come in between
        self._one_by_one = asyncio.Lock()

    async def turn(self, task_type: str, user_message: str) -> str:
        """Say something; returns Claude's words, after all tools that it called."""
        async with self._one_by_one, self._next_task(task_type):
            return await self._drive(task_type, user_message)

    async def _drive(self, task_type: str, user_message: str) -> str:
        steps = self._conversation.turn(task_type, user_message, on=_today())
        effect = next(steps)
        while True:
            try:
                reply = await self._perform(effect)
            except BaseException as error:  # noqa: BLE001  the turn decides what it means
                effect = steps.throw(error)
                continue
            try:
                effect = steps.send(reply)
            except StopIteration as end:
                return str(end.value)

    async def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Ask):
            return await self._client.messages.create(**effect.request)
        output = self._conversation.toolbox.run(effect.name, effect.arguments)
        return await output if inspect.isawaitable(output) else output


@overload
def session(
    *,
    budget_usd: Decimal | float | str | None = 5.0,
    client: anthropic.Anthropic | None = None,
    **options: Unpack[SessionOptions],
) -> Session: ...
@overload
def session(
    *,
    budget_usd: Decimal | float | str | None = 5.0,
    client: anthropic.AsyncAnthropic,
    **options: Unpack[SessionOptions],
) -> AsyncSession: ...
def session(
    *,
    budget_usd: Decimal | float | str | None = 5.0,
    client: anthropic.Anthropic | anthropic.AsyncAnthropic | None = None,
    **options: Unpack[SessionOptions],
) -> Session | AsyncSession:
    """Start a conversation that routes, estimates, holds, watches for loops, caches and settles.

    Each ``turn(task_type, user_message)`` picks the model by task, refuses with
    ``BudgetExceededError`` what could pass ``budget_usd``, stops with ``LoopDetectedError`` where
    the session repeats itself, marks the prompt for the prompt cache and books the exact cost. With
    ``client=anthropic.AsyncAnthropic()`` the turns are awaited; without a client
    ``anthropic.Anthropic()`` is made, which reads ``ANTHROPIC_API_KEY``.

    >>> import anthropic
    >>> from farthing.lab.emulator import emulator
    >>> with emulator() as claude:
    ...     client = anthropic.Anthropic(base_url=claude.url, api_key=claude.api_key)
    ...     talk = session(budget_usd=5.0, system="You are terse.", client=client)
    ...     answer = talk.turn("classify", "Spam or not: you have won!")
    >>> isinstance(answer, str), 0 < talk.spent < talk.budget, len(talk.messages)
    (True, True, 2)
    """
    if unknown := options.keys() - SessionOptions.__annotations__.keys():
        # A mistyped budget must not become a session with another one.
        raise TypeError(
            f"session() takes no {min(unknown)!r}; it takes 'budget_usd', 'client' and "
            + ", ".join(map(repr, SessionOptions.__annotations__))
        )
    try:
        import anthropic  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ConfigError("sessions need the Claude SDK: pip install 'farthing[sdk]'") from error
    if isinstance(client, anthropic.AsyncAnthropic):
        return AsyncSession(client, budget_usd, options)
    return Session(client or anthropic.Anthropic(), budget_usd, options)


def _today() -> date:
    return datetime.now(UTC).date()
