from __future__ import annotations

import subprocess
import sys

import pytest

from farthing.config import (
    SETTINGS,
    Layer,
    Settings,
    parse_environment,
    parse_file,
    parse_flags,
    resolve,
)
from farthing.config.kinds import (
    COUNT,
    PORT,
    SECONDS,
    SHARE,
    SIZE,
    SWITCH,
    TEXT,
    URL,
    USD,
    Kind,
    choice,
)
from farthing.errors import ConfigError

TOML = b"""
[gateway]
port = 1111
drain_seconds = 2.5
metrics = false

[budget]
task_usd = "2.50"
"""


def test_nothing_given_is_the_table():
    resolved = resolve()

    assert resolved.settings == Settings()
    assert set(resolved.origins.values()) == {"default"}
    assert set(resolved.origins) == {row.name for row in SETTINGS}


def test_the_nearer_source_wins_and_says_so():
    file = parse_file(TOML, "farthing.toml")
    environment = parse_environment({"FARTHING_PORT": "2222", "FARTHING_METRICS": "on"})
    flags = parse_flags({"port": "3333", "host": None})

    resolved = resolve(file, environment, flags)

    assert (resolved.settings.port, resolved.settings.metrics) == (3333, True)
    assert (resolved.settings.drain_seconds, resolved.settings.task_usd) == (2.5, 25 * 10**11)
    assert resolved.origins["port"] == "flag --port"
    assert resolved.origins["metrics"] == "environment FARTHING_METRICS"
    assert resolved.origins["task_usd"] == "file farthing.toml"
    assert resolved.origins["host"] == "default"


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            lambda: parse_file(b"[gateway]\nprot = 1", "f.toml"),
            "f.toml sets 'gateway.prot'.*'gateway.port'",
        ),
        (lambda: parse_environment({"FARTHING_PROT": "1"}), "'FARTHING_PROT'.*'FARTHING_PORT'"),
        (lambda: parse_flags({"prot": "1"}), "'prot'.*'port'"),
        (lambda: parse_file(b"[server]\nprt = 1", "f.toml"), "'server.prt'.*'gateway.port'"),
        (lambda: parse_file(b"port = 1", "f.toml"), "'port'.*'gateway.port'"),
        (lambda: parse_file(b"zzz = 1", "f.toml"), "'zzz'.*farthing config show"),
    ],
)
def test_a_name_that_is_no_setting_is_an_error_with_a_suggestion(read, message):
    with pytest.raises(ConfigError, match=message):
        read()


def test_other_variables_are_not_ours():
    given = {"PATH": "/bin", "FARTHING_DATA": "x", "FARTHING_CONFIG": "y", "FARTHING_HOST": ""}

    assert parse_environment(given) == Layer({})


@pytest.mark.parametrize("raw", [b"port = ", b"\xff"])
def test_a_file_that_is_no_toml_says_where(raw: bytes):
    with pytest.raises(ConfigError, match=r"f\.toml is not TOML"):
        parse_file(raw, "f.toml")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"gateway.port = 70000", "gateway.port is 70000; it takes a port"),
        (b"gateway.port = true", "gateway.port is True"),
        (b"budget.task_usd = 2.5", "budget.task_usd is 2.5; it takes dollars as text"),
        (b'levers.cache = "on"', "levers.cache is 'on'; it takes one of engine, auto, off"),
        (b"ledger.path = []", r"ledger.path is \[\]"),
        (b'upstream.url = "api.anthropic.com"', "upstream.url"),
    ],
)
def test_a_value_of_the_wrong_kind_says_what_it_takes(raw: bytes, message: str):
    with pytest.raises(ConfigError, match=f"file f.toml: {message}"):
        parse_file(raw, "f.toml")


def test_a_secret_is_never_shown():
    settings = resolve(parse_environment({"FARTHING_API_KEY": "sk-ant-1"})).settings
    row = next(row for row in SETTINGS if row.is_secret)

    assert settings.api_key == "sk-ant-1"
    assert "sk-ant" not in repr(settings) + str(settings) + row.shown(settings.api_key)
    assert row.shown(None) == ""
    with pytest.raises(ConfigError) as caught:
        row.parse(7, "file f.toml")
    assert "7" not in str(caught.value)


@pytest.mark.parametrize("address", ["https://me:hush@claude.test", "https://me:hush@[", "hush@x"])
def test_an_address_holds_no_password_and_the_error_does_not_repeat_it(address: str):
    with pytest.raises(ConfigError, match="without query or password") as caught:
        parse_file(f'upstream.url = "{address}"'.encode(), "f.toml")
    assert "hush" not in str(caught.value)


def test_a_secret_has_no_option_because_process_lists_show_options():
    with pytest.raises(ConfigError, match="api_key"):
        parse_flags({"api_key": "sk-ant-1"})


def test_two_keys_are_one_too_many():
    layer = parse_environment({"FARTHING_API_KEY": "a", "FARTHING_API_KEY_FILE": "b"})

    with pytest.raises(ConfigError, match="both set"):
        resolve(layer)


def test_repr_says_only_what_differs():
    assert repr(Settings()) == "Settings()"
    assert repr(Settings(port=1, metrics=False)) == "Settings(port=1, metrics=off)"


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_default_is_a_value_of_its_kind(row):
    if row.default is not None:
        assert row.parse(row.kind.dump(row.default), "here") == row.default
    assert row.help[0].islower() or row.help.startswith("/")
    assert row.environment == f"FARTHING_{row.name.upper()}"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (PORT, "65535", 65_535),
        (PORT, "65536", None),
        (PORT, "x", None),
        (COUNT, "0", 0),
        (COUNT, "-1", None),
        (SECONDS, "2.5", 2.5),
        (SECONDS, "nan", None),
        (SHARE, "0.05", 0.05),
        (SHARE, "1", 1.0),
        (SHARE, "1.01", None),
        (SHARE, "5 %", None),
        (SIZE, "32 MB", 32 * 1024**2),
        (SIZE, "1gb", 1024**3),
        (SIZE, "7", 7),
        (SIZE, "32 TB", None),
        (SWITCH, "ON", True),
        (SWITCH, "0", False),
        (SWITCH, "maybe", None),
        (USD, "$0.25", 25 * 10**10),
        (USD, "-1", None),
        (USD, "much", None),
        (TEXT, "", None),
        (URL, "http://127.0.0.1:80/base/", "http://127.0.0.1:80/base"),
        (URL, "https://x?y=1", None),
        (URL, "http://[", None),
        (URL, "ftp://x", None),
        (URL, "http://127.0.0.1:99999", None),
        (URL, "https://x#y", None),
        (choice("a", "b"), "b", "b"),
        (choice("a", "b"), "c", None),
    ],
)
def test_a_kind_reads_its_values_and_nothing_else(kind: Kind, text: str, value: object):
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1, "1 B"), (1024, "1 KB"), (1536, "1536 B"), (1 << 30, "1 GB")]
)
def test_a_size_is_written_in_the_largest_whole_unit(size: int, text: str):
    assert SIZE.dump(size) == text


def test_importing_the_settings_loads_no_io():
    code = "import sys, farthing.config; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"asyncio", "socket", "sqlite3", "aiohttp", "logging"} & set(loaded)
