"""The changelog names the version it leads to, and puts each entry where a reader looks for it."""

from __future__ import annotations

import pytest

import farthing
from tests.meta.changelog import faults, parse_changelog
from tests.meta.source import ROOT

GOOD = """\
# Changelog

## Unreleased (0.2.0)

### Added
- A thing.

### Billing
- Dearer by nothing.

## 0.1.0 – 2026-11-30

### Fixed
- Another.
"""


def test_the_changelog_is_in_order():
    releases = parse_changelog((ROOT / "CHANGELOG.md").read_text("utf-8"))

    assert faults(releases, package_version=farthing.__version__) == []


def test_something_stands_under_unreleased():
    unreleased = parse_changelog((ROOT / "CHANGELOG.md").read_text("utf-8"))[0]

    assert any(unreleased.sections.values())


def test_a_good_changelog_has_no_faults():
    assert faults(parse_changelog(GOOD), package_version="0.2.0") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Unreleased (0.2.0)", "Unreleased"),
        ("Unreleased (0.2.0)", "Unreleased (0.3.0)"),
        ("Unreleased (0.2.0)", "Unreleased (0.0.9)"),
        ("## Unreleased (0.2.0)", "## 0.2.0 – 2026-12-01"),
        ("### Added", "### Miscellaneous"),
        ("- A thing.", "A thing."),
        ("### Billing", "### Security"),
        ("0.1.0 – 2026-11-30", "0.1.0"),
    ],
)
def test_a_fault_in_the_changelog_is_found(old, new):
    assert faults(parse_changelog(GOOD.replace(old, new)), package_version="0.2.0") != []
