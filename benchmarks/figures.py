"""Write the table and the picture of the page on performance from what `make bench` measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl
from matplotlib import pyplot as plt

from .ratios import EVERY_TABLE

DOCS = Path("docs/explanation")
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20)


@click.command(help=__doc__)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--into", default=DOCS, type=click.Path(path_type=Path), help="Folder to write to.")
def main(source: Path, into: Path) -> None:
    measured = json.loads(source.read_text())
    (into / "performance-figures.md").write_text(table(measured))
    draw(measured, into / "performance.svg")


def table(measured: dict[str, Any]) -> str:
    """Write the figures as Markdown: the machine, the ratios, and the costs of each job."""
    machine = measured["machine"]
    lines = [
        f"Commit {measured['commit']}, Python {machine['python']}, PostgreSQL"
        f" {machine['postgresql']}, {machine['cpus']} cores; medians of {measured['rounds']}"
        " interleaved rounds. Less is better; what is within reach is bold.",
        "",
        _row("time per job", *EVERY_TABLE, "reach"),
        "|---|" + "---:|" * (len(EVERY_TABLE) + 1),
        *(_ratio(ratio) for ratio in measured["ratios"]),
        "",
        "For each job, on empty tables; memory is that of the process that runs the jobs, in all:",
        "",
        _row("", "commits", "rows written", "buffers", "WAL bytes", "dead rows", "memory"),
        "|---|" + "---:|" * 6,
        *(_costs(run) for run in measured["seconds"] if run["table"] == "empty" and run["per_job"]),
    ]

    return "\n".join(lines) + "\n"


def _ratio(ratio: dict[str, Any]) -> str:
    goal = ratio["goal"]
    cells = [_cell(ratio.get(state), goal) for state in EVERY_TABLE]

    return _row(ratio["label"], *cells, "" if goal is None else f"{goal:.3g}")


def _cell(value: float | None, goal: float | None) -> str:
    if value is None:
        return ""

    spelled = f"{value:.2f}" if value < 10 else f"{value:.0f}"

    return f"**{spelled}**" if goal is not None and value <= goal else spelled


def _costs(run: dict[str, Any]) -> str:
    costs = run["per_job"]
    nodes = f", {run['nodes']} nodes" if run["nodes"] else ""

    return _row(
        f"{run['system']}: {run['shape']}, {run['size']:,}{nodes}",
        f"{costs['commits']:.3f}",
        f"{costs['rows']:.1f}",
        f"{costs['buffers']:.0f}",
        f"{costs['WAL bytes']:,.0f}",
        f"{costs['dead rows']:.1f}",
        f"{costs['MB']:.0f} MB",
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def draw(measured: dict[str, Any], path: Path) -> None:
    """Draw each ratio as a bar, and its goal as a mark."""
    # Text is stored as text, and the same figures give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "figures", "font.size": 9})
    ratios = [ratio for ratio in measured["ratios"] if ratio.get("empty") is not None][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.3 * len(ratios) + 0.8))

    for place, ratio in enumerate(ratios):
        value, goal = ratio["empty"], ratio["goal"]
        color = "#8a8f98" if goal is None else "#2f8f5b" if value <= goal else "#c2703d"
        axes.barh(place, value, color=color, height=0.65)

        if goal is not None:
            axes.plot([goal, goal], [place - 0.42, place + 0.42], color="black", linewidth=1.5)

    axes.set_yticks(range(len(ratios)), [ratio["label"] for ratio in ratios])
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS], minor=False)
    axes.set_xticks([], minor=True)
    axes.margins(y=0.01)
    axes.set_xlabel("ratio of times on empty tables, less is better; the mark is the reach")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
