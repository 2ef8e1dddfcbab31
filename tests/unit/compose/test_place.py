"""The key of an installation's digests."""

from __future__ import annotations

import pytest

from farthing.compose.place import existing_key, install_key
from farthing.errors import ConfigError


def test_ledgers_beside_one_another_have_one_key(tmp_path):
    key = install_key(tmp_path / "ledger.db")

    assert install_key(tmp_path / "ledger.2.db") == key == existing_key(tmp_path / "ledger.3.db")
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db.key"]


def test_a_numbered_ledger_that_had_a_key_first_keeps_it(tmp_path):
    key = install_key(tmp_path / "bills.2026.db")

    assert install_key(tmp_path / "bills.db") != key
    assert install_key(tmp_path / "bills.2026.db") == key


def test_a_ledger_without_any_key_is_told_where_it_belongs(tmp_path):
    with pytest.raises(ConfigError, match=r"ledger\.2\.db\.key"):
        existing_key(tmp_path / "ledger.2.db")
