"""``farthing.batch``: submit rows, collect their results."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, final

from farthing.batch.items import Defaults, items_of
from farthing.core.task_models import TaskModels
from farthing.errors import ConfigError

if TYPE_CHECKING:
    import anthropic
    from anthropic.types.messages import MessageBatchIndividualResponse

__all__ = ["FailedRow", "Row", "RowResult", "TextRow", "results", "submit"]


class Row(TypedDict):
    """A row in short form; any parameter of the Messages API may stand beside these."""

    custom_id: str
    user_message: str
    #: what ``select_model`` picks the model by, where none is given
    task_type: NotRequired[str]


@final
class TextRow(TypedDict):
    """A row that succeeded."""

    custom_id: str
    text: str
    #: as the API reports it: what ``cost_per_task(usage=…)`` and ``check_cache_hit`` take
    usage: dict[str, Any]


@final
class FailedRow(TypedDict):
    """A row that did not, and is not billed: why, in words."""

    custom_id: str
    error: str


RowResult = TextRow | FailedRow


def submit(
    rows: Iterable[Row | Mapping[str, Any]],
    *,
    model: str | None = None,
    system: str | Sequence[Mapping[str, Any]] | None = None,
    max_tokens: int = 1024,
    policy: TaskModels | str | None = None,
    client: anthropic.Anthropic | None = None,
) -> str:
    """Send rows as one Message Batch; returns its id.

    A row is ``{"custom_id", "user_message"}``, optionally with ``task_type`` or any parameter of
    the Messages API, or ``{"custom_id", "params"}`` with a whole request. All rows are checked
    first; ``RequestError`` names the row that the API would refuse hours later.

    >>> import anthropic
    >>> from farthing.lab.emulator import emulator
    >>> with emulator() as claude:
    ...     client = anthropic.Anthropic(base_url=claude.url, api_key=claude.api_key)
    ...     rows = [{"custom_id": "a", "user_message": "Summarize: all is well."}]
    ...     id = submit(rows, client=client)
    ...     _ = claude.advance(3600)
    ...     found = results(id, client=client)
    >>> [sorted(row) for row in found]
    [['custom_id', 'text', 'usage']]
    """
    defaults = Defaults(model=model, system=system, max_tokens=max_tokens, policy=policy)
    items: Any = items_of(rows, defaults)
    return _client(client).messages.batches.create(requests=items).id


def results(
    id: str,  # noqa: A002  the API's word
    wait: bool = True,  # noqa: FBT001, FBT002  the signature that is taught
    *,
    poll_seconds: float = 15.0,
    client: anthropic.Anthropic | None = None,
) -> list[RowResult]:
    """The results of a batch that has ended, in the API's order: match them by ``custom_id``.

    With ``wait=False`` an empty list means that it has not ended; else this returns when it has,
    which the provider says is within 24 hours. Rows that failed have an ``error`` in place of
    ``text`` and ``usage``, and are not billed.
    """
    batches = _client(client).messages.batches
    while batches.retrieve(id).processing_status != "ended":
        if not wait:
            return []
        time.sleep(poll_seconds)
    return [_result(row) for row in batches.results(id)]


def _result(row: MessageBatchIndividualResponse) -> RowResult:
    result = row.result
    if result.type == "succeeded":
        text = "".join(block.text for block in result.message.content if block.type == "text")
        usage = result.message.usage.to_dict(mode="json")
        return TextRow(custom_id=row.custom_id, text=text, usage=usage)
    if result.type == "errored":
        error = result.error.error
        return FailedRow(custom_id=row.custom_id, error=f"{error.type}: {error.message}")
    return FailedRow(custom_id=row.custom_id, error=result.type)


def _client(client: anthropic.Anthropic | None) -> anthropic.Anthropic:
    """The caller's client, or one that reads ``ANTHROPIC_API_KEY``."""
    try:
        import anthropic  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ConfigError("batches need the Claude SDK: pip install 'farthing[sdk]'") from error
    return client or anthropic.Anthropic()
