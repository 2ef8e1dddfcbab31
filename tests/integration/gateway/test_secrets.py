"""Keys are planted, everything is used, and they are looked for: logs, files, answers, objects."""

from __future__ import annotations

import gc
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.cli.logs import configure_logging
from tests.integration.gateway.keyed import PROVIDER_KEY, Keyed, keyed_gateway
from tests.integration.gateway.raw_http import (
    RawClient,
    RawUpstream,
    http_answer,
    http_request,
    raw_upstream,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE

#: a client's own provider key, sent where a virtual one belongs
STRAY_KEY = "sk-ant-api03-a-stray-key-of-a-client"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    logger = logging.getLogger("farthing")
    before = (logger.handlers, logger.level, logger.propagate)
    yield io.StringIO()
    logger.handlers, logger.level, logger.propagate = before


def secret_parts(texts: dict[str, str]) -> list[str]:
    """What may be nowhere: the id in a virtual key is no secret."""
    return [text[-43:] for text in texts.values()] + [PROVIDER_KEY, STRAY_KEY]


def use_everything(keyed: Keyed, upstream: RawUpstream) -> tuple[list[bytes], dict[str, str]]:
    """Calls, refusals, faults and pages; the answers, but for those that issue a key."""
    texts = dict(keyed.texts)
    answers = []
    for key in [*keyed.texts.values(), STRAY_KEY, texts["client"][:-1] + "!"]:
        upstream.reply(http_answer(MESSAGE))
        for method, path in (
            ("POST", "/v1/messages"),
            ("GET", "/metrics"),
            ("GET", "/farthing/v1/keys"),
            ("POST", "/farthing/v1/keys"),
            ("DELETE", f"/farthing/v1/keys/{key}"),
            ("GET", f"/farthing/v1/exchanges/{key}x"),
        ):
            body = BODIES["plain"] if path == "/v1/messages" else b'{"name":""}'
            answer = keyed.ask(method, path, body, key=key, headers=JSON)
            if key not in path:  # what a client writes into a path of its own is told back to it
                answers.append(b"%b %b" % (str(answer.headers).encode(), answer.body))
    admin = texts["admin"]
    said = b'{"name":"new"}'
    for name, path in (("new", ""), ("turned", "/new/rotate")):
        made = keyed.ask("POST", f"/farthing/v1/keys{path}", said if not path else b"{}",
                         key=admin, headers=JSON)  # fmt: skip
        texts[name] = json.loads(made.body)["key"]
    upstream.reply(lambda connection: None)
    answers.append(
        keyed.ask("POST", "/v1/messages", BODIES["plain"], key=texts["turned"], headers=JSON).body
    )
    return answers, texts


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def found_in(content: bytes, secrets: list[str]) -> list[str]:
    return [secret[:12] for secret in secrets if secret.encode() in content]


def test_a_key_is_in_no_log_no_file_and_no_answer(
    upstream: RawUpstream, tmp_path: Path, log: io.StringIO
) -> None:
    configure_logging("debug", "json", log)
    with keyed_gateway(upstream.url, tmp_path, record=str(tmp_path / "recorded")) as keyed:
        answers, texts = use_everything(keyed, upstream)
        while_running = files_of(tmp_path)
    secrets = secret_parts(texts)
    recorded = files_of(tmp_path / "recorded") if (tmp_path / "recorded").is_dir() else {}
    files = {**while_running, **files_of(tmp_path), **recorded}

    assert "ledger.db" in files
    assert b"virtual_keys" in files["ledger.db"]
    assert "exchange settled" in log.getvalue()
    leaks = {name: found_in(content, secrets) for name, content in files.items()}
    assert {name: found for name, found in leaks.items() if found} == {}
    assert found_in(log.getvalue().encode(), secrets) == []
    assert found_in(b"\n".join(answers), secrets) == []


def test_no_live_object_of_ours_shows_a_key(upstream: RawUpstream, tmp_path: Path) -> None:
    with keyed_gateway(upstream.url, tmp_path) as keyed:
        _, texts = use_everything(keyed, upstream)
        secrets = secret_parts(texts)
        shown = [
            (type(each).__qualname__, found)
            for each in gc.get_objects()
            if str(type(each).__module__).startswith("farthing.")
            and (found := found_in(repr(each).encode(errors="replace"), secrets))
        ]
        kinds = {type(each).__qualname__ for each in gc.get_objects()}

    assert {"Gate", "LiveKeys", "Credentials", "KeyDesk", "Parts"} <= kinds
    assert shown == []


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with (
        pytest.MonkeyPatch.context() as patched,
        raw_upstream() as upstream,
        keyed_gateway(upstream.url, tmp_path_factory.mktemp("fuzzed")) as running,
    ):
        # all of it comes from one address; how that is blocked is tested elsewhere
        patched.setattr("farthing.core.access.FailureLimit.is_blocked", lambda *_: False)
        yield running


_VALUE = st.binary(max_size=300).map(
    lambda raw: bytes(byte for byte in raw if byte >= 32 and byte != 127)
)
_NAME = st.sampled_from(
    [
        b"x-api-key",
        b"authorization",
        b"host",
        b"origin",
        b"cookie",
        b"content-type",
        b"x-farthing-key",
        b"x-forwarded-for",
        b"sec-fetch-site",
        b"x-http-method-override",
    ]
)
_FIELDS = st.lists(st.tuples(_NAME, _VALUE), max_size=8)
_PATHS = st.sampled_from(["/v1/messages", "/farthing/v1/keys", "/metrics", "/farthing/v1/keys/a"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fields=_FIELDS,
    path=_PATHS,
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
    scheme=st.sampled_from([b"Bearer ", b"bearer  ", b"Basic ", b"", b"Bearer\t", b" "]),
)
def test_no_headers_without_a_key_open_anything(
    fuzzed: Keyed, fields: list[tuple[bytes, bytes]], path: str, method: str, scheme: bytes
) -> None:
    given = [(n, scheme + v if n == b"authorization" else v) for n, v in fields]
    with RawClient(fuzzed.gateway.url) as client:
        client.send(http_request(method, path, b"", given))
        answer: Any = client.answer(is_head=method == "HEAD")

    assert answer.status in {400, 401, 403, 404, 405, 415}
    assert answer.values(b"x-should-retry") in ([b"false"], [])
