"""CHANGELOG.md as data: releases, their sections, their entries."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

#: the order of the sections; Billing is ours: whatever can change what a user pays
SECTIONS: Final = ("Security", "Removed", "Deprecated", "Added", "Changed", "Fixed", "Billing")

_HEADING: Final = re.compile(
    r"(?:Unreleased \((?P<next>\d+\.\d+\.\d+)\)|(?P<version>\d+\.\d+\.\d+) – \d{4}-\d\d-\d\d)"
)


@dataclass(slots=True, kw_only=True)
class Release:
    """One ``## `` heading and what stands under it."""

    heading: str
    sections: dict[str, list[str]] = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        match = _HEADING.fullmatch(self.heading)
        return match and (match["next"] or match["version"])

    @property
    def is_unreleased(self) -> bool:
        return self.heading.startswith("Unreleased")


def parse_changelog(text: str) -> list[Release]:
    """Releases as they stand, newest first."""
    releases = list[Release]()
    entries = list[str]()
    for line in text.splitlines():
        if line.startswith("## "):
            releases.append(Release(heading=line[3:]))
        elif line.startswith("### "):
            entries = releases[-1].sections.setdefault(line[4:], [])
        elif line.startswith("- "):
            entries.append(line[2:])
    return releases


def faults(releases: list[Release], *, package_version: str) -> list[str]:
    """What a reader of the changelog would be misled by."""
    found = [f"heading {r.heading!r} is neither" for r in releases if r.version is None]
    if not releases or not releases[0].is_unreleased:
        return [*found, "the first heading is not `## Unreleased (x.y.z)`"]
    if releases[0].version != package_version:
        found.append(f"{releases[0].heading!r} does not name version {package_version}")
    versions = [tuple(map(int, (r.version or "0").split("."))) for r in releases]
    if versions != sorted(set(versions), reverse=True):
        found.append("versions do not descend")
    return found + [fault for release in releases for fault in section_faults(release)]


def section_faults(release: Release) -> list[str]:
    names = list(release.sections)
    unknown = [f"{release.heading}: no section is called {n!r}" for n in names if n not in SECTIONS]
    if unknown:
        return unknown
    found = [f"{release.heading}: {name} is empty" for name in names if not release.sections[name]]
    if names != sorted(names, key=SECTIONS.index):
        found.append(f"{release.heading}: sections are not in the order {', '.join(SECTIONS)}")
    return found
