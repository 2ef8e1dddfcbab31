"""Whether a request is let in: read, checked by every rule, placed in the prompt cache.

The order is the provider's as far as it is documented: model, thread, parameters, conversation,
thinking; then, once it is known what will be said (a script may record sizes), context editing,
size and rate limit. Nothing is changed before the last refusal but the rate-limit buckets, so a
refused request leaves neither a prompt-cache entry nor a bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from farthing.lab.emulator.answers import Answer, Question
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.chain import build_chain
from farthing.lab.emulator.compaction import Compaction, find_compaction, without_history
from farthing.lab.emulator.conversation import check_conversation
from farthing.lab.emulator.editing import EditedPrompt, apply_edits
from farthing.lab.emulator.prompt import Prompt, PromptReader
from farthing.lab.emulator.prompt_cache import Accounting, Chain, PromptCache
from farthing.lab.emulator.ratelimit import RateLimiter
from farthing.lab.emulator.recorded_sizes import SizeBook
from farthing.lab.emulator.refusal import invalid
from farthing.lab.emulator.thinking import CheckedThinking, ThinkingGuard
from farthing.lab.emulator.threads import Threads
from farthing.lab.emulator.validity import check_parameters, resolve_model

__all__ = ["Admission", "Admitted", "Checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A request that breaks no rule: as sent, as a whole conversation, and as a question."""

    sent: Prompt
    whole: Prompt
    question: Question
    thinking: CheckedThinking


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that is let in, with its place in the prompt cache."""

    checked: Checked
    shown: EditedPrompt
    chain: Chain
    accounting: Accounting
    compaction: Compaction | None
    headers: Mapping[str, str]

    @property
    def model(self) -> Model:
        """The model that answers."""
        return self.checked.question.model

    @property
    def call(self) -> Call:
        """Who asks, and when."""
        return self.checked.question.call


@dataclass(slots=True, kw_only=True)
class Admission:
    """The checks and the state they need."""

    guard: ThinkingGuard
    limiter: RateLimiter
    reader: PromptReader = field(default_factory=PromptReader)
    cache: PromptCache = field(default_factory=PromptCache)
    threads: Threads = field(default_factory=Threads)
    sizes: SizeBook = field(default_factory=SizeBook)

    def check(self, body: bytes, call: Call) -> Checked:
        """The request of a body, or the refusal of the first rule it breaks."""
        sent = self.reader.read(body)
        model = resolve_model(sent, call)
        whole = self.threads.resolve(sent, call)
        check_parameters(sent, model, call)
        check_conversation(whole, model, call)
        thinking = self.guard.check(whole, model, call)
        question = Question(prompt=thinking.prompt, model=model, call=call)
        return Checked(sent=sent, whole=whole, question=question, thinking=thinking)

    def admit(self, checked: Checked, answer: Answer, *, cold: bool) -> Admitted:
        """The request's place in the prompt cache, or the refusal of a size or rate limit."""
        model, call = checked.question.model, checked.question.call
        compaction = find_compaction(checked.whole, call)
        shown = self._edited(checked.question.prompt, model, call)
        sizes = self.sizes.sizes(shown.prompt, model, call, answer)
        chain = build_chain(shown.prompt, model, sizes)
        if chain.total > model.context_tokens:
            raise invalid(
                f"prompt is too long: {chain.total} tokens > {model.context_tokens} maximum"
            )
        accounting = self.cache.account(chain, call.account.scope, call.now, cold=cold)
        return Admitted(
            checked=checked,
            shown=shown,
            chain=chain,
            accounting=accounting,
            compaction=compaction,
            headers=self._limit(model, call, accounting),
        )

    def count(self, body: bytes, call: Call) -> dict[str, Any]:
        """The answer of count_tokens: an estimate, blind to the prompt cache (section 5)."""
        sent = self.reader.read(body)
        model = resolve_model(sent, call)
        # it takes no max_tokens, applies compaction blocks and triggers no new compaction
        fields = {"max_tokens": model.max_output_tokens, **sent.fields, "compaction": None}
        prompt = replace(sent, fields=fields)
        check_parameters(prompt, model, call)
        check_conversation(prompt, model, call)
        prompt = without_history(self.guard.check(prompt, model, call).prompt)
        original = build_chain(prompt, model).total
        edited = apply_edits(prompt, model, call, original)
        counted: dict[str, Any] = {"input_tokens": build_chain(edited.prompt, model).total}
        if edited.applied is not None:
            counted["context_management"] = {"original_input_tokens": original}
        return counted

    def _edited(self, prompt: Prompt, model: Model, call: Call) -> EditedPrompt:
        shown = without_history(prompt)
        if not shown.fields.get("context_management"):
            return EditedPrompt(prompt=shown)
        return apply_edits(shown, model, call, build_chain(shown, model).total)

    def _limit(self, model: Model, call: Call, accounting: Accounting) -> Mapping[str, str]:
        if call.batch:  # batches have limits of their own
            return {}
        fresh = accounting.total - accounting.read
        return self.limiter.admit(call.account.organization, model, call.now, input_tokens=fresh)
