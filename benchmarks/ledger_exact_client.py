"""Clients as they are: they stream, leave early, try again like the SDKs, poll their batches."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.ledger_exact_calls import Job
from benchmarks.ledger_exact_emulator import LABEL

__all__ = ["Load", "drive"]

_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
#: how long a client without a gateway knocks before it gives up
_KNOCKS, _KNOCK_SECONDS = 400, 0.05
_LEAVE_SECONDS = 0.05


class _NotThere(Exception):
    """Control flow: nobody listens, nothing was sent."""


class _Cut(Exception):
    """Control flow: a stream ended in its middle, which no SDK tries again."""


@dataclass(slots=True)
class Load:
    """What the clients did and saw."""

    url: str
    done: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    #: request ids of answers that came to their end → the cost that their headers say, if they do
    whole: dict[str, str | None] = field(default_factory=dict)
    #: batches whose results were read to their end: id → label
    batches: dict[str, str] = field(default_factory=dict)
    progress: asyncio.Event = field(default_factory=asyncio.Event)


async def drive(load: Load, work: Iterable[Job], concurrency: int) -> None:
    """Run all jobs, so many at once."""
    waiting = iter(work)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def worker() -> None:
            for job in waiting:
                await _Client(load, session).run(job)
                load.done += job.exchanges
                load.progress.set()

        await asyncio.gather(*(worker() for _ in range(concurrency)))


@dataclass(slots=True)
class _Client:
    load: Load
    session: aiohttp.ClientSession

    async def run(self, job: Job) -> None:
        """One job to its end, whatever the end is."""
        if job.kind == "batch":
            await self._batch(job)
            return
        message_id = await self._call(job)
        if job.then is not None and message_id:
            job.then.body["thread"]["previous_message_id"] = message_id
            await self._call(job.then)

    async def _call(self, job: Job) -> str | None:
        body = json.dumps(job.body).encode()
        for attempt in range(job.tries):
            headers = _headers(job, attempt)
            try:
                status, message_id = await self._attempt(job, body, headers)
            except _Cut:
                self.load.seen["stream cut"] += 1
                return None
            except (aiohttp.ClientError, TimeoutError) as error:
                self.load.seen[type(error).__name__] += 1
            else:
                self.load.seen[str(status)] += 1
                if status not in _RETRIED:
                    return message_id
            await asyncio.sleep(0.02 * 2**attempt)
        return None

    async def _attempt(
        self, job: Job, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str | None]:
        if job.leave_after == 0:
            async with asyncio.timeout(_LEAVE_SECONDS), self._post(job.path, body, headers):
                return 0, None
        async with self._post(job.path, body, headers) as response:
            if job.leave_after is not None and response.status == 200:
                await _read_some(response, job.leave_after)
                response.close()
                return 0, None
            answer = await _read_all(response, is_stream=bool(job.body.get("stream")))
            if response.status != 200 or job.kind == "count":
                return response.status, None
            if job.body.get("stream"):
                if b"event: message_stop" in answer:
                    self._is_whole(response)
                return response.status, None
            self._is_whole(response)
            return response.status, json.loads(answer)["id"]

    def _is_whole(self, response: aiohttp.ClientResponse) -> None:
        request_id = response.headers["request-id"]
        self.load.whole[request_id] = response.headers.get("x-farthing-cost-usd")

    @asynccontextmanager
    async def _post(
        self, path: str, body: bytes, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._ask("POST", path, headers, body) as response:
            yield response

    @asynccontextmanager
    async def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask; knock until somebody is there."""
        url = self.load.url + path
        for _ in range(_KNOCKS):
            try:
                response = await self.session.request(method, url, data=body, headers=headers)
            except aiohttp.ClientConnectorError:
                self.load.seen["knocks"] += 1
                await asyncio.sleep(_KNOCK_SECONDS)
                continue
            async with response:
                yield response
            return
        raise _NotThere(url)

    async def _batch(self, job: Job) -> None:
        """Create, poll, and read the results twice: they are booked once."""
        body, headers = json.dumps(job.body).encode(), _headers(job, 0)
        created = await self._until_read("POST", job.path, headers, body)
        batch_id = json.loads(created)["id"]
        path = f"{job.path}/{batch_id}"
        while True:
            shown = json.loads(await self._until_read("GET", path, headers))
            if shown["processing_status"] == "ended":
                break
            await asyncio.sleep(0.1)
        for _ in range(2):
            await self._until_read("GET", f"{path}/results", headers)
        self.load.batches[batch_id] = job.label
        self.load.seen["batches"] += 1

    async def _until_read(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> bytes:
        while True:
            try:
                async with self._ask(method, path, headers, body) as response:
                    answer = await response.read()
                    if response.status == 200:
                        return answer
                    self.load.seen[f"{method} {response.status}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                self.load.seen[type(error).__name__] += 1
            headers.pop("x-emulator-fault", None)  # it has gone wrong once
            await asyncio.sleep(0.05)


async def _read_all(response: aiohttp.ClientResponse, *, is_stream: bool) -> bytes:
    try:
        return await response.read()
    except aiohttp.ClientError as error:
        if is_stream and response.status == 200:
            raise _Cut from error
        raise


async def _read_some(response: aiohttp.ClientResponse, size: int) -> None:
    read = 0
    async for chunk in response.content.iter_any():
        read += len(chunk)
        if read >= size:
            return


def _headers(job: Job, attempt: int) -> dict[str, str]:
    headers: dict[str, Any] = {
        "content-type": "application/json",
        "x-api-key": "sk-emu-exact",
        "anthropic-version": "2023-06-01",
        "x-farthing-task": job.label,
        LABEL: job.label,
        **job.headers,
    }
    if job.says_retries:
        headers["x-stainless-retry-count"] = str(attempt)
    if job.fault and attempt == 0:
        headers["x-emulator-fault"] = job.fault
    return headers
