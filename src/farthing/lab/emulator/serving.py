"""One admitted request through the emulated model: answered, billed, remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from farthing.lab.emulator.accounts import workspace_id
from farthing.lab.emulator.admission import Admission, Admitted, Checked
from farthing.lab.emulator.answers import Answer, AnswerChain
from farthing.lab.emulator.blocks import block_of
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.chain import MESSAGE_TOKENS, build_chain, extend_key
from farthing.lab.emulator.compaction import Compaction, summarised, summary_block
from farthing.lab.emulator.diagnostics import Diagnostics
from farthing.lab.emulator.faults import NO_FAULT, Fault, parse_fault
from farthing.lab.emulator.finishing import Finished, finish
from farthing.lab.emulator.ids import IdSource
from farthing.lab.emulator.latency import LatencyProfile
from farthing.lab.emulator.records import Books
from farthing.lab.emulator.server_tools import count_searches, internal_iterations, split_rounds
from farthing.lab.emulator.thinking import reports_transformations
from farthing.lab.emulator.usage import Bill, Iteration

__all__ = ["MessagesApi", "Served"]

_BILLED_REFUSALS = ("bio", "frontier_llm", "reasoning_extraction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A served message and what the wire needs to know of it."""

    message: dict[str, Any]
    bill: Bill
    first_byte: float
    duration: float
    fault: Fault
    streamed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class MessagesApi:
    """The Messages endpoint."""

    admission: Admission
    answers: AnswerChain
    books: Books
    ids: IdSource
    latency: LatencyProfile
    diagnostics: Diagnostics = field(default_factory=Diagnostics)

    def serve(self, body: bytes, call: Call, fault: Fault = NO_FAULT) -> Served:
        """The answer to one body, or the refusal."""
        fault.raise_if_refused()
        checked = self.admission.check(body, call)
        answer = self._answer(checked)
        if fault is NO_FAULT and answer.fault:
            fault = parse_fault(answer.fault)
            fault.raise_if_refused()
        asked = self.admission.admit(checked, answer, cold=fault.evict)
        return self._respond(asked, answer, fault)

    def _answer(self, checked: Checked) -> Answer:
        fields = checked.sent.fields
        if fields.get("max_tokens") == 0 or fields.get("compaction"):
            return Answer(stop_reason="max_tokens", output_tokens=0)
        answer, source = self.answers.find(checked.question)
        source.use(checked.question, answer)
        return answer

    def _respond(self, asked: Admitted, answer: Answer, fault: Fault) -> Served:
        first_byte = fault.latency + self.latency.first_byte_seconds(
            uncached=asked.accounting.total - asked.accounting.read, cached=asked.accounting.read
        )
        usable_from = asked.call.now + first_byte
        room = asked.model.context_tokens - asked.chain.total
        fields = asked.checked.sent.fields
        finished = finish(answer, fields, asked.model, asked.call, room=room)
        self.admission.cache.commit(
            asked.chain, asked.call.account.scope, asked.accounting, asked.call.now, usable_from
        )
        finished, iterations = self._iterate(asked, finished, usable_from)
        bill = _bill(asked, finished, iterations)
        message = self._message(asked, answer, finished, bill)
        duration = self.latency.output_seconds(sum(one.output for one in iterations))
        if not _is_free(answer, bill):
            self.books.bill(asked.call, asked.model, bill, workspace_id(asked.call.account))
        self._remember(asked, message, ready_at=usable_from + duration)
        return Served(
            message=message,
            bill=bill,
            first_byte=first_byte,
            duration=duration,
            fault=fault,
            streamed=bool(fields.get("stream")),
            headers=asked.headers,
        )

    def _iterate(
        self, asked: Admitted, finished: Finished, usable_from: float
    ) -> tuple[Finished, tuple[Iteration, ...]]:
        wanted = asked.compaction
        if wanted is not None and (wanted.on_demand or asked.chain.total > wanted.trigger):
            return self._compact(asked, wanted, finished, usable_from)
        rounds = split_rounds(finished.content)
        first = Iteration(accounting=asked.accounting, output=finished.output)
        if len(rounds) == 1:
            return finished, (first,)
        return finished, self._search(asked, rounds, first, usable_from)

    def _search(
        self,
        asked: Admitted,
        rounds: list[list[dict[str, Any]]],
        first: Iteration,
        usable_from: float,
    ) -> tuple[Iteration, ...]:
        """A server tool ran: each of its results starts another iteration."""
        caching = bool(asked.chain.breakpoints)
        key, added = asked.chain.keys[-1], []
        for part in rounds[:-1]:
            blocks = [block_of("messages", "assistant", value) for value in part]
            added.append(sum(block.size.of(asked.model.new_tokenizer) for block in blocks))
            for block in blocks:
                key = extend_key(key, block)
            if caching:
                scope, now = asked.call.account.scope, asked.call.now
                self.admission.cache.keep(scope, key, "5m", now, usable_from)
        added[0] += MESSAGE_TOKENS
        later = internal_iterations(first.accounting, added, caching=caching)
        share = first.output // (len(later) + 1)
        outputs = [share] * len(later) + [first.output - share * len(later)]
        pairs = zip((first.accounting, *later), outputs, strict=True)
        return tuple(Iteration(accounting=part, output=output) for part, output in pairs)

    def _compact(
        self, asked: Admitted, wanted: Compaction, finished: Finished, usable_from: float
    ) -> tuple[Finished, tuple[Iteration, ...]]:
        block = summary_block(asked.chain.total, asked.call, signed=wanted.on_demand)
        size = block_of("messages", "assistant", block).size.of(asked.model.new_tokenizer)
        compaction = Iteration(type="compaction", accounting=asked.accounting, output=size)
        if wanted.pause:
            return Finished(content=[block], stop_reason="compaction"), (compaction,)
        rest = build_chain(summarised(asked.shown.prompt, block), asked.model)
        scope, now, cache = asked.call.account.scope, asked.call.now, self.admission.cache
        accounting = cache.account(rest, scope, now)
        cache.commit(rest, scope, accounting, now, usable_from)
        message = Iteration(accounting=accounting, output=finished.output)
        return replace(finished, content=[block, *finished.content]), (compaction, message)

    def _message(
        self, asked: Admitted, answer: Answer, finished: Finished, bill: Bill
    ) -> dict[str, Any]:
        whole, sent = asked.checked.whole, asked.checked.sent
        message: dict[str, Any] = {
            "id": self.ids.next("msg_"),
            "type": "message",
            "role": "assistant",
            "model": asked.model.id,
            "content": self.admission.guard.sign(
                finished.content, whole, asked.model, asked.call, finished.thinking
            ),
            "stop_reason": finished.stop_reason,
            "stop_sequence": finished.stop_sequence,
            "stop_details": answer.stop_details if finished.stop_reason == "refusal" else None,
            "container": None,
            "diagnostics": self.diagnostics.diagnose(
                sent, asked.chain, asked.accounting, asked.call
            ),
            "usage": bill.as_json(),
        }
        if asked.shown.applied is not None:
            message["context_management"] = {"applied_edits": asked.shown.applied}
        if reports_transformations(asked.call):
            message["input_transformations"] = list(asked.checked.thinking.transformations)
        return message

    def _remember(self, asked: Admitted, message: dict[str, Any], *, ready_at: float) -> None:
        call, sent = asked.call, asked.checked.sent
        output = int(message["usage"]["output_tokens"])
        self.admission.limiter.produced(
            call.account.organization, asked.model, call.now, output_tokens=output
        )
        self.diagnostics.keep(message["id"], sent, asked.chain, asked.accounting, call)
        if sent.fields.get("thread"):
            reply = self.admission.reader.message_of(
                {"role": "assistant", "content": message["content"]}
            )
            whole, named = asked.checked.whole, (message["id"], reply)
            self.admission.threads.keep(sent, whole, named, call, ready_at)


def _is_free(answer: Answer, bill: Bill) -> bool:
    """A refusal before any output is not billed, but for three categories (section 1.3)."""
    if answer.stop_reason != "refusal" or bill.output > 0:
        return False
    return (answer.stop_details or {}).get("category") not in _BILLED_REFUSALS


def _bill(asked: Admitted, finished: Finished, iterations: tuple[Iteration, ...]) -> Bill:
    fields = asked.checked.sent.fields
    fast = fields.get("speed") == "fast" and asked.model.fast in ("yes", "beta")
    return Bill(
        iterations=iterations,
        thinking=finished.thinking,
        searches=count_searches(finished.content),
        tier="batch" if asked.call.batch else "standard",
        geo=str(fields.get("inference_geo") or "global"),
        speed="fast" if fast else "standard",
        itemised=len(iterations) > 1,
    )
