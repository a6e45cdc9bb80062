"""The built distributions: what is in them, and that the wheel stands alone."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import oban_pro
from tests.support.environments import PROJECT, SMOKE, Uv, run, run_suite
from tests.support.paths import ROOT

CONSTRAINTS = PROJECT["tool"]["uv"]["constraint-dependencies"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2_000)]


def sources() -> set[str]:
    listed = run("git", "ls-files", "src/oban_pro", cwd=ROOT).splitlines()

    return {name.removeprefix("src/") for name in listed if (ROOT / name).exists()}


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def programs(uv: Uv, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the folder of the programs of an environment with the wheel and no extra."""
    folder = tmp_path_factory.mktemp("alone") / "venv"
    uv("venv", "--quiet", "--python", sys.executable, folder)
    uv("pip", "install", "--quiet", "--python", folder / "bin" / "python", wheel)

    return folder / "bin"


class TestWheel:
    def test_holds_every_source_sql_template_and_static_file(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            names = {name for name in archive.namelist() if name.startswith("oban_pro/")}

        assert sources() - names == set()
        suffixes = {Path(name).suffix for name in names}
        assert {".py", ".sql", ".html", ".css", ".js"} <= suffixes
        assert suffixes == {Path(name).suffix for name in sources()}
        assert "oban_pro/py.typed" in names

    def test_the_wheel_holds_the_licence(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            names = {Path(name).name for name in archive.namelist()}

        assert {"LICENSE", "NOTICE"} <= names


class TestSdist:
    def test_the_sdist_holds_every_source(self, sdist: Path) -> None:
        with tarfile.open(sdist) as archive:
            names = {name.partition("/src/")[2] for name in archive.getnames()}

        assert sources() - names == set()

    def test_builds_the_same_wheel_as_the_repository(
        self, uv: Uv, sdist: Path, wheel: Path, tmp_path: Path
    ) -> None:
        for name, source in (("sdist", sdist), ("repository", ROOT)):
            uv(
                "build",
                "--quiet",
                "--python",
                sys.executable,
                "--wheel",
                "--out-dir",
                tmp_path / name,
                source,
            )
            (built,) = (tmp_path / name).glob("*.whl")

            assert contents(built) == contents(wheel)


class TestAlone:
    def test_the_wheel_alone_runs_a_workflow(
        self, programs: Path, empty_dsn: str, tmp_path: Path
    ) -> None:
        printed = run(programs / "python", "-W", "error", SMOKE, cwd=tmp_path, dsn=empty_dsn)

        assert printed == "completed 14\n"

    def test_the_wheel_alone_tells_its_version(self, programs: Path, tmp_path: Path) -> None:
        printed = run(programs / "oban-workflows", "--version", cwd=tmp_path)

        assert printed == f"oban-workflows, version {oban_pro.__version__}\n"

    def test_says_how_to_install_the_dashboard(
        self, programs: Path, empty_dsn: str, tmp_path: Path
    ) -> None:
        run(programs / "oban-workflows", "install", cwd=tmp_path, dsn=empty_dsn)
        done = subprocess.run(
            [programs / "oban-workflows", "web", "--dsn", empty_dsn],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert done.returncode == 1
        assert re.search(r"pip install 'oban-workflows\[web\]'", done.stderr)
        assert "Traceback" not in done.stderr

    def test_the_wheel_alone_passes_the_tests(
        self, uv: Uv, wheel: Path, python: Path, checkout: Path, tmp_path: Path
    ) -> None:
        pins = tmp_path / "pins.txt"
        pins.write_text("\n".join(CONSTRAINTS), encoding="utf-8")
        install = ("pip", "install", "--quiet", "--python", python, "--constraint", pins)
        uv(*install, "--group", f"{ROOT / 'pyproject.toml'}:dev", f"{wheel}[embedded,web]")

        assert not (checkout / "src").exists()
        rooms = ("unit", "property", "migration", "examples", "web")
        run_suite(python, checkout, *(f"tests/{room}" for room in rooms))
