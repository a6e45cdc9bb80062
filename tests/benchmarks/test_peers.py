"""The comparison with other systems: what it makes of what it finds, and that each of them runs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.peers import OURS, PEERS, Peer, run, services
from benchmarks.peers.__main__ import main
from benchmarks.peers.measuring import Found, measure, ratios, wait_until_quiet
from benchmarks.peers.work import Work
from tests.support.cli import environment
from tests.support.paths import ROOT

OTHERS = [peer for peer in PEERS if peer != OURS]
WORK = Work("chain", 2)
COMMAND = [sys.executable, "-m", "benchmarks.peers", "--scale", "100", "--rounds", "1"]
EXPECTED = {"no dependencies", "not measured"}


class TestRatios:
    def test_are_those_of_each_round_in_order(self) -> None:
        assert ratios([1.0, 2.0, 1.0], [3.0, 2.0, 5.0]) == [1.0, 3.0, 5.0]

    def test_are_the_reason_where_one_could_not(self) -> None:
        assert ratios([1.0, 1.0], [3.0, "over 60 s"]) == "over 60 s"


class TestMeasure:
    def test_measuring_takes_turns_between_the_systems(self) -> None:
        asked: list[Peer] = []

        def measure_one(peer: Peer, _: Work) -> Found:
            asked.append(peer)
            return 1.0

        assert measure(OTHERS, [WORK], 2, measure_one)[OTHERS[0], WORK] == [1.0, 1.0]
        assert asked == [*OTHERS, *OTHERS]

    def test_waits_for_a_quiet_machine_before_each_round(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loads = iter([2.0, 0.5, 0.2, 0.1])
        monkeypatch.setattr("os.getloadavg", lambda: (next(loads), 9.0, 9.0))
        monkeypatch.setattr("time.sleep", lambda _: None)
        waited: list[float] = []
        measure([OURS], [WORK], 2, lambda *_: 1.0, lambda: waited.append(wait_until_quiet(0.3)))
        assert waited == [0.2, 0.1]

    def test_gives_up_on_a_machine_that_stays_busy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("benchmarks.peers.measuring.PATIENCE", 0.0)

        with pytest.raises(TimeoutError, match="below 0, got"):
            wait_until_quiet(0)

    def test_does_not_try_again_what_could_not_be_done(self) -> None:
        measured = measure([OURS], [WORK], 3, lambda *_: "over 60 s")
        assert measured[OURS, WORK] == ["over 60 s"]


class TestRun:
    def test_says_what_is_not_installed(self, capsys: pytest.CaptureFixture[str]) -> None:
        run.main("missing", "chain", "2", "60")
        assert capsys.readouterr().out == '"benchmarks.peers.missing is not installed"\n'


class TestCommand:
    def test_says_how_to_install_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        result = CliRunner().invoke(main, ["--only", "celery"])
        assert result.exit_code == 1
        assert "apt install redis-server" in result.output

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    @pytest.mark.parametrize("peer", OTHERS, ids=lambda peer: peer.module)
    def test_the_command_measures_each_system(
        self, peer: Peer, empty_dsn: str, tmp_path: Path
    ) -> None:
        if peer.needs == "redis" and not services.redis_is_installed():
            pytest.skip("redis-server is not installed")

        for package in peer.packages:
            if not importlib.util.find_spec(package):
                pytest.skip(f"{package} is not installed, `make bench-peers` does it")

        output = tmp_path / "peers.json"
        subprocess.run(
            [*COMMAND, "--only", peer.module, "--output", output],
            cwd=ROOT,
            env=environment(empty_dsn),
            check=True,
        )
        measured = json.loads(output.read_text())["measured"]
        found = {each["shape"]: each["ratio"] for each in measured if each["peer"] == peer.name}
        assert found.pop("independent" if peer.module == "pgqueuer" else "fan_out") > 0
        assert all(isinstance(each, float) or each in EXPECTED for each in found.values())
