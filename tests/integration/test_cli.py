"""The command line, run as people run it."""

from pathlib import Path

import psycopg
import pytest

from oban_pro import __version__, schema
from oban_pro.__main__ import main
from tests.support.cli import assert_one_line, invoke, run_cli
from tests.support.databases import Psql

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nowhere"


class TestMain:
    def test_the_command_line_tells_its_version(self, tmp_path: Path) -> None:
        assert __version__ in run_cli("--version", cwd=tmp_path).stdout

    def test_the_command_line_lists_its_commands(self, tmp_path: Path) -> None:
        shown = run_cli("-h", cwd=tmp_path).stdout
        assert {"demo", "install", "uninstall"} <= set(shown.split())


@pytest.mark.slow
class TestInstall:
    def test_makes_the_tables_of_oban_and_of_workflows(
        self, empty_dsn: str, tmp_path: Path
    ) -> None:
        done = run_cli("install", "--dsn", empty_dsn, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert {"oban_jobs", "oban_workflows"} <= Psql(empty_dsn).relations()

    def test_changes_nothing_the_second_time(self, empty_dsn: str, tmp_path: Path) -> None:
        first = run_cli("install", "--dsn", empty_dsn, cwd=tmp_path)
        before = Psql(empty_dsn).relations()
        second = run_cli("install", "--dsn", empty_dsn, cwd=tmp_path)
        assert (second.returncode, second.stdout) == (0, first.stdout)
        assert Psql(empty_dsn).relations() == before

    def test_creates_the_schema_that_prefix_names(self, empty_dsn: str, tmp_path: Path) -> None:
        done = run_cli("install", "--dsn", empty_dsn, "--prefix", "jobs", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "oban_workflows" in Psql(empty_dsn).relations("jobs")
        assert "oban_workflows" not in Psql(empty_dsn).relations()

    def test_takes_the_dsn_from_the_environment(self, empty_dsn: str, tmp_path: Path) -> None:
        assert run_cli("install", cwd=tmp_path, dsn=empty_dsn).returncode == 0
        assert "oban_workflows" in Psql(empty_dsn).relations()

    def test_takes_dsn_and_prefix_from_oban_toml(self, empty_dsn: str, tmp_path: Path) -> None:
        (tmp_path / "oban.toml").write_text(f'dsn = "{empty_dsn}"\nprefix = "jobs"\n')
        assert run_cli("install", cwd=tmp_path).returncode == 0
        assert "oban_workflows" in Psql(empty_dsn).relations("jobs")

    def test_prefers_an_option_to_the_environment_and_that_to_the_file(
        self, empty_dsn: str, tmp_path: Path
    ) -> None:
        (tmp_path / "other.toml").write_text(f'dsn = "{UNREACHABLE}"\nprefix = "from_file"\n')
        arguments = ["install", "--config", "other.toml", "--prefix", "from_option"]
        assert run_cli(*arguments, cwd=tmp_path, dsn=empty_dsn).returncode == 0
        assert "oban_workflows" in Psql(empty_dsn).relations("from_option")
        assert not Psql(empty_dsn).relations("from_file")

    def test_asks_for_a_dsn(self, tmp_path: Path) -> None:
        assert "--dsn" in assert_one_line(run_cli("install", cwd=tmp_path))

    @pytest.mark.parametrize("dsn", [UNREACHABLE, "nonsense"])
    def test_says_why_a_database_cannot_be_reached(self, dsn: str, tmp_path: Path) -> None:
        assert_one_line(run_cli("install", "--dsn", dsn, cwd=tmp_path))

    def test_is_told_without_the_password_of_the_dsn(self, tmp_path: Path) -> None:
        for name in sorted(main.commands.keys() - {"grants"}):
            params = main.commands[name].params
            arguments = ["w"] * sum(
                p.required or (p.param_type_name, p.name) == ("argument", "id") for p in params
            )
            options = ["--yes"] if name == "uninstall" else []

            for dsn in ("postgresql://ada:hun@ter2@127.0.0.1:1/x", "postgresql:/ada:hunter2@host"):
                done = invoke(dsn, name, *options, *arguments)
                assert "connection string" in assert_one_line(
                    done, 2 if name in ("check", "demo") else 1
                )
                assert not any(part in done.output for part in ("hun", "ter2"))

    def test_refuses_a_configuration_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "oban.toml").write_text("dsn: nothing like TOML")
        assert "oban.toml" in assert_one_line(run_cli("install", cwd=tmp_path))

    def test_refuses_a_prefix_that_needs_quotes(self, empty_dsn: str, tmp_path: Path) -> None:
        done = run_cli("install", "--dsn", empty_dsn, "--prefix", "My Jobs", cwd=tmp_path)
        assert "'My Jobs'" in assert_one_line(done)

    def test_leaves_a_foreign_table_alone_and_names_it(
        self, empty_dsn: str, tmp_path: Path
    ) -> None:
        with psycopg.connect(empty_dsn) as conn:
            conn.execute("CREATE TABLE oban_workflows (id text)")

        done = run_cli("install", "--dsn", empty_dsn, cwd=tmp_path)
        assert "oban_workflows" in assert_one_line(done)
        assert Psql(empty_dsn).relations() == {"oban_workflows"}

    def test_refuses_a_database_newer_than_itself(self, dsn: str, tmp_path: Path) -> None:
        with psycopg.connect(dsn) as conn:
            conn.execute("INSERT INTO oban_workflow_migrations VALUES (%s)", [schema.VERSION + 1])

        assert "newer" in assert_one_line(run_cli("install", "--dsn", dsn, cwd=tmp_path))


class TestUninstall:
    def test_removes_our_tables_and_keeps_those_of_oban(self, dsn: str, tmp_path: Path) -> None:
        done = run_cli("uninstall", "--dsn", dsn, "--yes", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "oban_jobs" in Psql(dsn).relations()
        assert not {name for name in Psql(dsn).relations() if name.startswith("oban_workflow")}

    def test_removes_nothing_unless_confirmed(self, dsn: str, tmp_path: Path) -> None:
        assert run_cli("uninstall", "--dsn", dsn, cwd=tmp_path).returncode == 1
        assert "oban_workflows" in Psql(dsn).relations()
