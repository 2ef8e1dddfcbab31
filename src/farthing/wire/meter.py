"""The meter: what a streamed answer costs, read on the side while its bytes flow by.

Theory of operation. Of the events of a stream only four matter to the bill: ``message_start`` (who
answers, the input counts), ``message_delta`` (the counts so far and why it stopped),
``message_stop``, and ``error``, which may follow a status of 200. The parser is asked for these
four and drops everything else unread, so a delta's text is neither decoded nor kept.

Rules from outside (API facts, section 4.3; provider's page on streaming, 2026-11): counts in
``message_delta`` are cumulative and replace those of ``message_start`` field by field; there may be
several; the last one names the stop reason; unknown events are to be tolerated.

Rules of this file: feeding never raises, because a stream must reach its reader whatever we think
of it. What cannot be read is said in ``problem``, and then the usage is not final. A stream cut
short leaves the last known usage and ``final_usage_seen`` false: the cost is then an interval.
"""

from __future__ import annotations

import msgspec

from farthing.errors import UpstreamError
from farthing.wire.answers import MessageUsage, StopDetails, dump_diagnostics
from farthing.wire.envelope import ErrorEnvelope, parse_error
from farthing.wire.sse import SseEvent, SseParser
from farthing.wire.usage import ReportedUsage, Usage

__all__ = ["StreamMeter"]

#: None of the four carries content. The largest, a ``message_start`` with a container or
#: diagnostics, stays within a few KB.
_MAX_EVENT_BYTES = 1024 * 1024

_EVENTS = ("message_start", "message_delta", "message_stop", "error")


class _StartedMessage(msgspec.Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: ReportedUsage | None = None
    diagnostics: msgspec.Raw = msgspec.Raw(b"")


class _Start(msgspec.Struct, frozen=True):
    message: _StartedMessage


class _Stop(msgspec.Struct, frozen=True):
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class _Delta(msgspec.Struct, frozen=True):
    delta: _Stop | None = None
    usage: ReportedUsage | None = None


_UNKNOWN_ERROR = ErrorEnvelope(type="api_error", message="the stream ended with an unknown error")

_start_decoder = msgspec.json.Decoder(_Start)
_delta_decoder = msgspec.json.Decoder(_Delta)


class StreamMeter:
    """Reads one stream's usage from its bytes; feed it each chunk as it is passed on."""

    def __init__(self) -> None:
        self._parser = SseParser(only=_EVENTS, max_event_bytes=_MAX_EVENT_BYTES)
        self._reported: ReportedUsage | None = None
        self.message_id: str | None = None
        #: as served, not as asked
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.refusal_category: str | None = None
        self.diagnostics: bytes | None = None
        #: the error event of the stream, if one came
        self.error: ErrorEnvelope | None = None
        #: has ``message_stop`` come
        self.finished = False
        #: has any content begun? The output count of ``message_start`` is a placeholder: before
        #: content, the answer may still be a refusal that costs nothing
        self.has_content = False
        self._delta_usage_seen = False
        #: why an event could not be read, if one could not
        self.problem: UpstreamError | None = None

    @property
    def usage(self) -> Usage | None:
        """The counts as far as they are known; None before the first report."""
        return None if self._reported is None else self._reported.total()

    @property
    def final_usage_seen(self) -> bool:
        """Is ``usage`` the whole bill? A later report can only come before the answer has ended."""
        has_ended = self.finished or self.stop_reason is not None
        return self._delta_usage_seen and has_ended and self.problem is None

    @property
    def message(self) -> MessageUsage | None:
        """The same as a plain answer would have said it; None before the first report."""
        usage = self.usage
        if usage is None:
            return None
        return MessageUsage(
            usage=usage,
            model=self.model,
            message_id=self.message_id,
            stop_reason=self.stop_reason,
            refusal_category=self.refusal_category,
            diagnostics=self.diagnostics,
        )

    def feed(self, chunk: bytes) -> None:
        """Read a chunk of the answer's body, cut anywhere."""
        if not self.has_content:  # a name cut in two is missed here, and said again by the next
            self.has_content = b"content_block" in chunk
        for event in self._parser.feed(chunk):
            self._read(event)
        if self._parser.oversized_events:
            self._give_up(f"an event is larger than {_MAX_EVENT_BYTES} bytes")

    def _read(self, event: SseEvent) -> None:
        try:
            match event.name:
                case "message_start":
                    self._start(event.data)
                case "message_delta":
                    self._delta(event.data)
                case "message_stop":
                    self.finished = True
                case _:
                    self.error = parse_error(event.data) or _UNKNOWN_ERROR
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._give_up(f"{event.name} cannot be read: {error}")

    def _give_up(self, reason: str) -> None:
        # the counts in the lost event are lost: what we have is not the whole bill
        self.problem = UpstreamError(f"the answer's stream cannot be metered: {reason}")

    def _start(self, data: bytes) -> None:
        message = _start_decoder.decode(data).message
        self.message_id = message.id
        self.model = message.model
        self.stop_reason = message.stop_reason
        self.diagnostics = dump_diagnostics(message.diagnostics)
        self._report(message.usage)

    def _delta(self, data: bytes) -> None:
        read = _delta_decoder.decode(data)
        if read.delta is not None and read.delta.stop_reason is not None:
            self.stop_reason = read.delta.stop_reason
            details = read.delta.stop_details
            self.refusal_category = details.category if details else None
        self._report(read.usage)
        self._delta_usage_seen |= read.usage is not None

    def _report(self, usage: ReportedUsage | None) -> None:
        if usage is not None:
            self._reported = usage if self._reported is None else usage.over(self._reported)
