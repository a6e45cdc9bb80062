"""That the comparison of processes with bare loops runs."""

import subprocess
import sys

import pytest

from tests.support.cli import environment
from tests.support.paths import ROOT


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_tells_what_a_second_process_brings(empty_dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cores", "--rounds", "1", "--jobs", "40"],
        cwd=ROOT,
        env=environment(empty_dsn),
        check=True,
        capture_output=True,
        text=True,
    )
    assert "2 ms of Python" in done.stdout
    assert "nothing" in done.stdout
