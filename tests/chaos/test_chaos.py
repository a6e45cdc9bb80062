"""Nodes, users and everything that goes wrong with them, at random: nothing is lost by it.

``make chaos SECONDS=600`` runs it for longer. ``CHAOS_FAULTS`` names what may happen, as in
``kill,cut,conn``, or with a minus what may not, as in ``-clock``. ``CHAOS_SEED`` draws the same
again.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.chaos.run import DUST, KINDS, Run

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))


def chosen() -> list[str]:
    """Return the kinds of things that happen."""
    names = [name for name in os.environ.get("CHAOS_FAULTS", "").split(",") if name]
    unknown = {name.removeprefix("-") for name in names} - {*KINDS}
    assert not unknown, f"CHAOS_FAULTS must name {', '.join(KINDS)}, got {', '.join(unknown)}"
    wanted = [name for name in names if not name.startswith("-")] or KINDS

    return [kind for kind in wanted if f"-{kind}" not in names]


class TestEngine:
    @pytest.mark.slow
    @pytest.mark.timeout(SECONDS + 3 * DUST)
    async def test_loses_nothing_whatever_happens(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
        run = Run(tmp_path, chosen(), seed, SECONDS)

        with capsys.disabled():
            print(f"\nCHAOS_SEED={seed} CHAOS_FAULTS={','.join(run.kinds)} in {tmp_path}")  # noqa: T201
            wrong = await run()
            print(run.summary)  # noqa: T201

        assert not wrong, f"{len(wrong)} things are wrong:\n" + "\n".join(wrong[:50])
