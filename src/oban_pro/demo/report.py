"""Sum up an audit, and write it down as JSON and Markdown."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .environment import Checked, Installed

BIGGEST = 10
"""How many of the biggest distributions the report names."""


class Report(TypedDict):
    """The outcome of an audit; file names are listed by distribution."""

    passed: bool
    paths: list[str]
    distributions: int
    files: int
    unhashed: int
    bytes: int
    mismatched: dict[str, list[str]]
    missing: dict[str, list[str]]
    unreadable: dict[str, list[str]]
    biggest: dict[str, int]
    licences: dict[str, list[str]]


def build_report(
    inventory: Mapping[str, Installed],
    checks: Mapping[str, Checked],
    licences: Mapping[str, str],
    sizes: Mapping[str, int],
) -> Report:
    """Sum up what the jobs found; everything is keyed by the name of the distribution."""
    mismatched = {
        name: found["mismatched"] for name, found in checks.items() if found["mismatched"]
    }
    missing = {name: found["missing"] for name, found in checks.items() if found["missing"]}
    unreadable = {
        name: found["unreadable"] for name, found in checks.items() if found["unreadable"]
    }
    biggest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:BIGGEST]

    return Report(
        passed=not (mismatched or missing or unreadable),
        paths=list(dict.fromkeys(installed["path"] for installed in inventory.values())),
        distributions=len(checks),
        files=sum(found["files"] for found in checks.values()),
        unhashed=sum(found["unhashed"] for found in checks.values()),
        bytes=sum(sizes.values()),
        mismatched=mismatched,
        missing=missing,
        unreadable=unreadable,
        biggest=dict(biggest),
        licences=_invert(licences),
    )


def findings(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong, as kind, distribution and file."""
    kinds = {
        "mismatched": report["mismatched"],
        "missing": report["missing"],
        "unreadable": report["unreadable"],
    }

    for kind, by_distribution in kinds.items():
        for distribution, files in by_distribution.items():
            for file in files:
                yield kind, distribution, file


def verdict(report: Report) -> str:
    """Say in one sentence how the audit went."""
    scope = f"{report['files']:,} files of {report['distributions']:,} distributions"

    if report["passed"]:
        return f"Passed: {scope} are as they were installed."

    return f"Failed: of {scope}, {len(list(findings(report))):,} are not as they were installed."


def human_size(count: float) -> str:
    """Write a number of bytes with a unit that suits it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"

        count /= 1000

    return f"{count:.1f} GB"


def write_report(report: Report, folder: str) -> None:
    """Write ``report.json`` and ``report.md`` into a folder, which is made where it is missing."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (target / "report.md").write_text(to_markdown(report), encoding="utf-8")


def to_markdown(report: Report) -> str:
    """Render the report for people."""
    facts = [
        ("distributions", f"{report['distributions']:,}"),
        ("size", human_size(report["bytes"])),
        ("files checked", f"{report['files']:,}"),
        ("files without a hash", f"{report['unhashed']:,}"),
        ("mismatched", _count(report["mismatched"])),
        ("missing", _count(report["missing"])),
        ("unreadable", _count(report["unreadable"])),
    ]
    sizes = [(name, human_size(count)) for name, count in report["biggest"].items()]
    licences = [(name, ", ".join(holders)) for name, holders in report["licences"].items()]
    sections = [
        "# Audit of a Python environment",
        verdict(report),
        "\n".join(f"- `{path}`" for path in report["paths"]),
        _table(("fact", "value"), facts),
        *(
            ["## Findings", _table(("kind", "distribution", "file"), findings(report))]
            * (not report["passed"])
        ),
        "## Biggest distributions",
        _table(("distribution", "size"), sizes),
        "## Licences",
        _table(("licence", "distributions"), licences),
    ]

    return "\n\n".join(sections) + "\n"


def _count(by_distribution: Mapping[str, list[str]]) -> str:
    return f"{sum(map(len, by_distribution.values())):,}"


def _invert(licences: Mapping[str, str]) -> dict[str, list[str]]:
    """List the holders of each licence, the most frequent licence first."""
    holders: dict[str, list[str]] = defaultdict(list)

    for distribution, licence in sorted(licences.items()):
        holders[licence].append(distribution)

    return dict(sorted(holders.items(), key=lambda item: (-len(item[1]), item[0])))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]

    return "\n".join(
        f"| {' | '.join(cell.replace('|', '\\|') for cell in line)} |" for line in lines
    )
