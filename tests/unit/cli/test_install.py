from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from farthing.cli.main import main

OLD = b'{\r\n\t"model": "opus",\r\n\t"env": {"A": "1"}\r\n}\r\n'
URL = "http://127.0.0.1:8787"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "claude"
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(folder))
    return folder


@pytest.fixture
def settings(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "settings.json"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_installing_sets_two_variables_and_says_what_they_need(settings, capsys):
    code, printed, _ = run(capsys, "install", "claude")

    env = json.loads(settings.read_bytes())["env"]
    assert code == 0
    assert env == {"A": "1", "ANTHROPIC_BASE_URL": URL, "ENABLE_TOOL_SEARCH": "true"}
    assert f"ANTHROPIC_BASE_URL={URL}" in printed
    for needed in ("farthing serve", "farthing doctor", "farthing uninstall claude"):
        assert needed in printed


def test_uninstalling_gives_the_same_bytes_and_permissions(settings, folder, capsys):
    run(capsys, "install", "claude")
    assert settings.read_bytes() != OLD
    assert settings.stat().st_mode & 0o777 == 0o640
    code, printed, _ = run(capsys, "uninstall", "claude")

    assert (code, settings.read_bytes()) == (0, OLD)
    assert settings.stat().st_mode & 0o777 == 0o640
    assert names(folder) == ["settings.json"]
    assert "byte for byte" in printed


def test_without_settings_before_there_are_none_after(folder, capsys):
    run(capsys, "install", "claude")
    assert names(folder) == ["settings.json", "settings.json.farthing-undo"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    run(capsys, "uninstall", "claude")

    assert names(folder) == []


def test_a_link_stays_a_link(settings, folder, tmp_path, capsys):
    target = tmp_path / "dotfiles" / "claude.json"
    target.parent.mkdir()
    settings.rename(target)
    settings.symlink_to(target)
    run(capsys, "install", "claude")
    assert settings.is_symlink()
    assert URL.encode() in target.read_bytes()
    run(capsys, "uninstall", "claude")

    assert settings.is_symlink()
    assert target.read_bytes() == OLD
    assert names(target.parent) == ["claude.json"]


def test_a_process_killed_between_any_two_steps_leaves_what_can_be_undone(tmp_path, config_home):
    program = Path(__file__).with_name("killed_between_steps.py")
    command = [sys.executable, str(program), str(tmp_path / "claude")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["faults"] == []
    assert result["kills"] > 150


def test_installing_twice_changes_nothing_more(settings, folder, capsys):
    run(capsys, "install", "claude")
    once = settings.read_bytes()
    _, printed, _ = run(capsys, "install", "claude")
    assert settings.read_bytes() == once
    assert "nothing changed" in printed
    run(capsys, "uninstall", "claude")

    assert settings.read_bytes() == OLD


def test_another_port_takes_the_place_of_the_first(settings, capsys):
    run(capsys, "install", "claude")
    run(capsys, "install", "claude", "--port", "9000")
    assert b"8787" not in settings.read_bytes()
    assert b"http://127.0.0.1:9000" in settings.read_bytes()
    run(capsys, "uninstall", "claude")

    assert settings.read_bytes() == OLD


def test_the_gateways_own_settings_say_where_it_is(settings, capsys, tmp_path):
    config = tmp_path / "farthing.toml"
    config.write_text('[gateway]\nhost = "::"\nport = 8000\n')
    run(capsys, "install", "claude", "--config", str(config))

    assert b'"http://[::1]:8000"' in settings.read_bytes()


def test_edits_since_stay_and_only_ours_goes(settings, capsys):
    run(capsys, "install", "claude")
    settings.write_bytes(settings.read_bytes().replace(b'"opus"', b'"sonnet"  '))
    _, printed, _ = run(capsys, "uninstall", "claude")

    assert settings.read_bytes() == OLD.replace(b'"opus"', b'"sonnet"  ')
    assert "edited since" in printed


def test_a_base_url_that_was_set_since_stays_and_is_named(settings, capsys):
    run(capsys, "install", "claude")
    settings.write_bytes(settings.read_bytes().replace(URL.encode(), b"http://mine"))
    _, printed, _ = run(capsys, "uninstall", "claude")

    env = json.loads(settings.read_bytes())["env"]
    assert env == {"A": "1", "ANTHROPIC_BASE_URL": "http://mine"}
    assert "ANTHROPIC_BASE_URL has another value" in printed


def test_settings_that_were_removed_stay_removed(settings, folder, capsys):
    run(capsys, "install", "claude")
    settings.unlink()
    run(capsys, "uninstall", "claude")

    assert names(folder) == []


def test_a_gateway_that_was_set_before_is_named_and_comes_back(settings, capsys):
    before = b'{"env": {"ANTHROPIC_BASE_URL": "https://llm.corp"}}'
    settings.write_bytes(before)
    _, printed, _ = run(capsys, "install", "claude")
    assert "farthing serve --upstream https://llm.corp" in printed
    run(capsys, "uninstall", "claude")

    assert settings.read_bytes() == before


def test_what_somebody_decided_about_tool_search_stands(settings, capsys):
    settings.write_bytes(b'{"env": {"ENABLE_TOOL_SEARCH": "auto:10"}}')
    _, printed, _ = run(capsys, "install", "claude")

    assert json.loads(settings.read_bytes())["env"]["ENABLE_TOOL_SEARCH"] == "auto:10"
    assert "'auto:10' there and stays" in printed


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_dry_run_changes_nothing(command, settings, folder, capsys):
    if command == "uninstall":
        run(capsys, "install", "claude")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, printed, _ = run(capsys, command, "claude", "--dry-run")

    assert code == 0
    assert "would" in printed
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("raw", [b'{"env": {},}', b"// mine\n{}", b"[]"])
def test_settings_that_cannot_be_read_are_left_alone(raw, settings, folder, capsys):
    settings.write_bytes(raw)
    code, _, said = run(capsys, "install", "claude")

    assert (code, settings.read_bytes(), names(folder)) == (2, raw, ["settings.json"])
    assert "correct the file first" in said


def test_a_damaged_record_is_no_reason_to_guess(settings, folder, capsys):
    run(capsys, "install", "claude")
    installed = settings.read_bytes()
    record = folder / "settings.json.farthing-undo"
    stored: dict[str, Any] = json.loads(record.read_bytes())
    record.write_text(json.dumps({**stored, "original": "e30="}))
    code, _, said = run(capsys, "uninstall", "claude")

    assert (code, settings.read_bytes()) == (2, installed)
    assert "is damaged" in said


def test_a_folder_in_the_files_place_is_said_in_one_line(folder, capsys):
    (folder / "settings.json").mkdir(parents=True)
    code, _, said = run(capsys, "install", "claude")

    assert code == 2
    assert "cannot read or change" in said


def test_uninstalling_what_is_not_installed_says_so(settings, capsys):
    assert run(capsys, "uninstall", "claude")[:2] == (
        0,
        f"nothing of farthing is installed in {settings}\n",
    )


def test_both_speak_json(settings, capsys):
    installed = json.loads(run(capsys, "install", "claude", "--json")[1])
    undone = json.loads(run(capsys, "uninstall", "claude", "--json")[1])

    assert installed["variables"] == {"ANTHROPIC_BASE_URL": URL, "ENABLE_TOOL_SEARCH": "true"}
    assert installed["changed"] is True
    assert (undone["undone"], undone["kept"]) == ("restored", [])
