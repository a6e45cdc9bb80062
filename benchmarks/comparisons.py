"""The list of comparisons: two runs each, and the ratio that is the goal."""

from __future__ import annotations

from .measurement import Run
from .ratios import EVERY_TABLE, Phase, Ratio
from .shapes import JOBS_PER_DIAMOND

ONE_TABLE = ("empty",)
PLANNED_BY = EVERY_TABLE[:4]
"""States of small tables, which PostgreSQL's plans depend on."""


def compare(scale: int = 1, *, million: bool = False) -> list[Ratio]:
    """List all comparisons.

    Args:
        scale: Divides all sizes.
        million: Whether to run a million jobs as well, which takes minutes.
    """
    return [
        *_against_oban(scale),
        *_against_the_floor(scale),
        *_by_size(scale, million=million),
        *_by_shape(scale),
        *_as_cascades(scale),
        *_joined_and_skipped(scale),
        *_reading(scale),
        *_among_stored(scale),
    ]


def fan_out(items: int, **opts: int | bool) -> Run:
    """Make a run of one job, then many jobs, then one job."""
    return Run("workflows", "fan_out", items + 2, **opts)  # type: ignore[arg-type]


def _against_oban(scale: int) -> list[Ratio]:
    big, hops = 10_000 // scale, 200 // scale
    plain = Run("oban", "independent", big + 2)
    small = [
        Ratio(
            f"1 → {items:,} → 1 / oban, {items + 2:,} jobs, once both have done it before",
            fan_out(items, rehearse=True),
            Run("oban", "independent", items + 2, rehearse=True),
            0.4,
        )
        for items in (100 // scale, 1_000 // scale)
    ]

    return [
        Ratio(
            f"1 → {big:,} → 1 / oban, {big + 2:,} jobs",
            fan_out(big),
            plain,
            0.18,
            tables=PLANNED_BY,
        ),
        Ratio(
            f"the same, added one by one / oban, {big + 2:,} jobs",
            Run("workflows", "fan_out_singly", big + 2),
            plain,
        ),
        *small,
        Ratio(
            f"chain of {hops} / oban, each enqueues the next",
            Run("workflows", "chain", hops),
            Run("oban", "hops", hops),
        ),
        Ratio(
            f"{big + 2:,} plain jobs / oban without this package",
            Run("workflows", "independent", big + 2),
            plain,
            1 / 6,
            tables=PLANNED_BY,
        ),
        Ratio(
            f"oban, {big + 2:,} jobs, on tables with our triggers / without",
            Run("triggers", "independent", big + 2),
            plain,
            1.03,
        ),
    ]


def _against_the_floor(scale: int) -> list[Ratio]:
    big, hops = 10_000 // scale, 200 // scale
    floor = Run("floor", "independent", big + 2)

    return [
        Ratio(f"1 → {big:,} → 1 / floor", fan_out(big), floor, 2.5, tables=PLANNED_BY),
        Ratio("the same, inserting only / floor", fan_out(big), floor, 2.8, phase="inserted"),
        Ratio(
            "the same, building and inserting / floor",
            fan_out(big),
            floor,
            phase="built and inserted",
        ),
        Ratio(
            f"chain of {hops} / floor",
            Run("workflows", "chain", hops),
            Run("floor", "hops", hops),
            1.5,
        ),
    ]


def _by_size(scale: int, *, million: bool) -> list[Ratio]:
    base, big = fan_out(10_000 // scale), fan_out(100_000 // scale)
    label = f"1 → {big.size - 2:,} → 1 / 1 → {base.size - 2:,} → 1"
    ratios = [
        Ratio(label, big, base, 1.15),
        Ratio(f"{label}, inserting only", big, base, 1.15, phase="inserted"),
    ]

    if million:
        # on a separate node, because the process that enqueues holds all jobs in memory
        small, huge = (fan_out(items // scale, nodes=1) for items in (10_000, 1_000_000))
        label = f"1 → {huge.size - 2:,} → 1 / 1 → {small.size - 2:,} → 1"
        ratios.append(Ratio(label, huge, small, 1.15, tables=ONE_TABLE))

    return ratios


def _by_shape(scale: int) -> list[Ratio]:
    big = 10_000 // scale
    flat = fan_out(big)
    diamonds = 1_000 // scale * JOBS_PER_DIAMOND
    alone = fan_out(big, nodes=1)

    return [
        Ratio(
            f"{diamonds // JOBS_PER_DIAMOND:,} diamonds / 1 → {big:,} → 1",
            Run("workflows", "diamonds", diamonds),
            flat,
            1.2,
        ),
        Ratio(
            f"{diamonds // JOBS_PER_DIAMOND:,} diamonds on 3 nodes / on one",
            Run("workflows", "diamonds", diamonds, nodes=3),
            Run("workflows", "diamonds", diamonds, nodes=1),
            tables=ONE_TABLE,
        ),
        Ratio(
            f"1 → {big:,} → 1 on 3 nodes / on one",
            fan_out(big, nodes=3),
            alone,
            1.0,
            tables=ONE_TABLE,
        ),
        Ratio(
            f"100 sub-workflows of {big // 100}, 5 deep / 1 → {big:,} → 1",
            Run("workflows", "nested", big),
            flat,
            1.2,
        ),
    ]


def _as_cascades(scale: int) -> list[Ratio]:
    big, hops, few = 10_000 // scale, 200 // scale, 200 // scale * 12
    cascades = Run("workflows", "cascades", big + 2)

    return [
        Ratio(f"1 → {big:,} → 1 as cascades / as workers", cascades, fan_out(big), 1.25),
        Ratio(
            "1 → 10 → 1, 200 times, as cascades / as workers",
            Run("workflows", "cascades_of_ten", few),
            Run("workflows", "fan_outs_of_ten", few),
            1.25,
        ),
        Ratio(
            f"1 → {big:,} → 1 as cascades / oban, {big + 2:,} jobs",
            cascades,
            Run("oban", "independent", big + 2),
            0.22,
        ),
        Ratio(
            f"chain of {hops} cascades / floor",
            Run("workflows", "chain_of_cascades", hops),
            Run("floor", "hops", hops),
            1.8,
        ),
    ]


def _joined_and_skipped(scale: int) -> list[Ratio]:
    big = 10_000 // scale
    phases: tuple[Phase, ...] = ("settled", "rows", "buffers")
    pairs = [
        (f"{big:,} → 1 that needs any / all", "fan_in_of_any", "fan_in", big + 1),
        (f"1 → {big:,} → 1 skipped in one wave / completed", "skipped", "fan_out_singly", big + 2),
    ]

    return [
        Ratio(
            label if phase == "settled" else f"{label}, {phase}",
            Run("workflows", shape, size),
            Run("workflows", base, size),
            1.05 if phase == "rows" else 1.1,
            phase,
        )
        for label, shape, base, size in pairs
        for phase in phases
    ]


def _reading(scale: int) -> list[Ratio]:
    values, jobs = 10_000 // scale, 100_000 // scale

    return [
        Ratio(
            f"a cascade reads {values:,} results / SELECT of them",
            Run("workflows", "results", values),
            Run("floor", "results", values),
            4.0,
            tables=ONE_TABLE,
        ),
        Ratio(
            f"status() amid {jobs:,} jobs / SELECT by primary key",
            Run("workflows", "status", jobs),
            Run("floor", "status", jobs),
            3.0,
            tables=ONE_TABLE,
        ),
    ]


def _among_stored(scale: int) -> list[Ratio]:
    some, big = 200 // scale, 10_000 // scale
    runs = {
        "a workflow of two jobs": Run("workflows", "chain", 2, repeat=some),
        f"chain of {some}": Run("workflows", "chain", some, rehearse=True),
        f"{some} diamonds": Run("workflows", "diamonds", some * JOBS_PER_DIAMOND, rehearse=True),
        f"1 → {big // 10:,} → 1": fan_out(big // 10, rehearse=True),
        f"1 → {big:,} → 1": fan_out(big, rehearse=True),
    }
    looks = {
        f"status() amid {big:,} jobs": Run("workflows", "status", big),
        "a tick with nothing to do": Run("workflows", "tick", 1),
    }

    return [
        *(_as_if_alone(label, run, "settled", 1.25) for label, run in (runs | looks).items()),
        *(_as_if_alone(f"{label}, rows", run, "rows", 1.05) for label, run in runs.items()),
        *(_as_if_alone(f"{label}, buffers", run, "buffers", 1.05) for label, run in runs.items()),
    ]


def _as_if_alone(label: str, run: Run, phase: Phase, goal: float) -> Ratio:
    return Ratio(
        f"{label}, among 100,000 workflows / alone",
        run,
        run,
        goal,
        phase,
        tables=("stored",),
        base_table="empty",
    )
