"""Rows that anybody may have written: what they name runs only where it was meant as a job."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Any

import pytest
from oban import Job, Oban

import oban_pro
from oban_pro import Workflow
from tests.support import forbidden
from tests.support.cli import environment
from tests.support.databases import Psql
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import settled, work
from tests.support.paths import ROOT

INSERT = "INSERT INTO oban_jobs (worker, args, state) VALUES (%s, %s, 'available') RETURNING id"
HERE = "tests.support.forbidden"


NEVER_MEANT: list[tuple[object, str]] = [
    (f"{HERE}:Model", "it must be a function, got something of type type"),
    (f"{HERE}:model", "it must be a function, got something of type Model"),
    (f"{HERE}:password", "it must be a function, got something of type str"),
    (f"{HERE}:nameless", "a lambda cannot be imported by name"),
    (f"{HERE}:bound", "it must be a function, got something of type method"),
    (f"{HERE}:partial", "it must be a function, got something of type partial"),
    (f"{HERE}:nested", "make_nested.<locals>.nested is nested in a function"),
    (f"{HERE}:borrowed", "tests.support.flows:one is what it leads to"),
    (f"{HERE}:one", "tests.support.flows:one is what it leads to"),
    (f"{HERE}:Model.delete", "Model.delete in module tests.support.forbidden is a method"),
    (f"{HERE}:Model.purge", "it must be a function, got something of type classmethod"),
    (f"{HERE}:Model.secret", "it must be a function, got something of type property"),
    (f"{HERE}:model.secret", "'model' in module tests.support.forbidden is no class"),
    (f"{HERE}:lazy.anything", "'lazy' in module tests.support.forbidden is no class"),
    (f"{HERE}:subprocess.run", "'subprocess' in module tests.support.forbidden is no"),
    (f"{HERE}:called.append", "'called' in module tests.support.forbidden is no class"),
    (f"{HERE}:__builtins__", "it must be a function, got something of type dict"),
    (f"{HERE}:__loader__.get_data", "'__loader__' in module tests.support.forbidden is"),
    (f"{HERE}:too_many", "it must accept (context)"),
    (f"{HERE}:harmless_item", "it must accept (context)"),
    (f"{HERE}:", "has no attribute ''"),
    (HERE, "has no attribute ''"),
    ("", "Empty module name"),
    (".os:system", "'package' argument is required"),
    (None, "Empty module name"),
    (["os", "system"], "Empty module name"),
]
"""What a row may name, and why that is not called."""


@pytest.fixture(autouse=True)
def uncalled() -> None:
    """Start without calls."""
    forbidden.called.clear()


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Provide a package whose modules cannot be imported without a trace in `sys.modules`."""
    package = tmp_path / "hostile_trap"
    package.mkdir()
    (package / "__init__.py").write_text("")
    code = "async def run(context): pass\n\nclass Run: pass\n"
    (package / "jobs.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    return "hostile_trap.jobs"


class Runner:
    """Runs single jobs that psql has inserted, and returns their rows."""

    def __init__(self, psql: Psql, wait_until: WaitUntil) -> None:
        self._psql = psql
        self._wait_until = wait_until

    async def __call__(self, worker: str, **args: Any) -> dict[str, Any]:
        ((job_id,),) = self._psql.rows(INSERT, [worker, json.dumps(args)])
        query = "SELECT state::text, errors, meta FROM oban_jobs WHERE attempt > 0 AND id = "

        def find() -> dict[str, Any] | None:
            rows = self._psql.dicts(f"{query} {job_id} AND state NOT IN ('available', 'executing')")

            return rows[0] if rows else None

        return dict(await self._wait_until(find))

    async def cascade(self, function: object, **args: Any) -> dict[str, Any]:
        return await self("oban_pro.workers.Cascade", function=function, **args)


@pytest.fixture
async def runs(psql: Psql, start_oban: StartOban, wait_until: WaitUntil) -> Runner:
    await start_oban()

    return Runner(psql, wait_until)


def error_of(row: dict[str, Any]) -> str:
    assert row["state"] == "retryable"

    return str(row["errors"][-1]["error"]).splitlines()[-1]


class TestFunctions:
    async def test_of_the_standard_library_are_not_called(
        self, runs: Runner, tmp_path: Path
    ) -> None:
        mark = tmp_path / "called"
        code = f"open({str(mark)!r}, 'w').close()"

        for path in ("builtins:exec", "builtins:eval", "code:InteractiveInterpreter.runcode"):
            assert "standard library" in error_of(await runs.cascade(path, item=code))

        for path in ("os:system", "posix:system", "subprocess:getoutput"):
            assert "standard library" in error_of(await runs.cascade(path, item=f"touch {mark}"))

        # plain functions, with arguments that fit
        for path in ("cProfile:run", "profile:run", "timeit:timeit", "runpy:run_path"):
            assert "standard library" in error_of(await runs.cascade(path, item=code))

        assert not mark.exists()

    async def test_that_were_never_meant_as_jobs_are_not_called(self, runs: Runner) -> None:
        for function, reason in NEVER_MEANT:
            error = error_of(await runs.cascade(function))
            assert reason in error, function
            # whoever inserts a row need not be one who may read what is in a module
            assert forbidden.password not in error, function

        assert forbidden.called == []

    async def test_must_take_the_item_too(self, runs: Runner) -> None:
        row = await runs.cascade(f"{HERE}:harmless", item=1)
        assert "it must accept (item, context)" in error_of(row)

    async def test_are_called_where_they_could_have_been_added(self, runs: Runner) -> None:
        assert (await runs.cascade(f"{HERE}:harmless"))["state"] == "completed"
        assert (await runs.cascade(f"{HERE}:harmless_item", item=1))["state"] == "completed"

    async def test_are_looked_up_again_for_each_job(
        self, runs: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (await runs.cascade(f"{HERE}:harmless"))["state"] == "completed"

        monkeypatch.setattr(forbidden, "harmless", forbidden.nested)
        assert "nested in a function" in error_of(await runs.cascade(f"{HERE}:harmless"))

        monkeypatch.undo()
        assert (await runs.cascade(f"{HERE}:harmless"))["state"] == "completed"

    async def test_are_checked_for_grafters_too(self, runs: Runner) -> None:
        row = await runs("oban_pro.workers.Grafter", function="os:getcwd")
        assert "standard library" in error_of(row)


@pytest.mark.slow
class TestModules:
    async def test_that_are_not_permitted_are_not_imported(self, runs: Runner, trap: str) -> None:
        oban_pro.configure(modules=["shop", "tests.support"])

        reason = (
            "the setting modules permits only shop, tests.support; got module 'hostile_trap.jobs'"
        )
        assert reason in error_of(await runs.cascade(f"{trap}:run"))
        assert reason in error_of(await runs(f"{trap}.Run"))
        assert trap not in sys.modules

        oban_pro.configure(modules=["hostile_trap"])
        assert (await runs.cascade(f"{trap}:run"))["state"] == "completed"

    async def test_of_the_standard_library_are_never_imported(self, runs: Runner) -> None:
        # it opens a browser
        assert "antigravity" not in sys.modules
        oban_pro.configure(modules=["antigravity", "tests"])
        assert "standard library" in error_of(await runs.cascade("antigravity:geohash"))
        assert "antigravity" not in sys.modules

    async def test_of_the_tests_of_python_are_part_of_it(self, runs: Runner) -> None:
        # it runs them all
        pytest.importorskip("test.support")
        assert "standard library" in error_of(await runs.cascade("test.autotest:main"))

    async def test_permit_workers_of_theirs_and_ours(
        self, runs: Runner, oban: Oban, wait_until: WaitUntil
    ) -> None:
        oban_pro.configure(modules=["tests.support"])
        workflow = Workflow().add("a", work()).add_cascade("b", forbidden.harmless, deps="a")
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).state == "completed"

    async def test_hold_for_workers_too(self, runs: Runner) -> None:
        oban_pro.configure(modules=[HERE, "tests.support.jobs"])

        for worker in (
            "tests.support.graphs.Work",
            "subprocess.Popen",
            "builtins.print",
            "tests.support",
            "print",
            "oban_pro.workersx.Cascade",
        ):
            assert f"the setting modules permits only {HERE}" in error_of(await runs(worker))

    async def test_hold_for_what_a_permitted_module_has_imported(self, runs: Runner) -> None:
        oban_pro.configure(modules=[HERE])

        for worker, module in (
            (f"{HERE}.OrderedDict", "collections"),
            ("oban_pro.workers.partial", "functools"),
        ):
            error = error_of(await runs(worker))
            assert f"permits only {HERE}; got module {module!r}" in error

    async def test_change_nothing_for_workers_where_they_are_not_set(self, runs: Runner) -> None:
        row = await runs("builtins.print")
        assert "expected a class" in error_of(row)
        assert (await runs("tests.support.graphs.Work"))["state"] == "completed"

    async def test_are_read_beside_the_configuration_that_a_node_is_started_with(
        self, dsn: str, psql: Psql, tmp_path: Path, wait_until: WaitUntil
    ) -> None:
        folder = tmp_path / "conf"
        folder.mkdir()
        (folder / "oban.toml").write_text(f"dsn = {json.dumps(dsn)}\nqueues = {{default = 5}}")
        (folder / "workflows.toml").write_text('modules = ["shop"]')
        node = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "oban", "start", "--config", folder / "oban.toml"),
            cwd=tmp_path,
            env=environment() | {"PYTHONPATH": str(ROOT)},
            stdout=DEVNULL,
            stderr=DEVNULL,
        )

        try:
            runs = Runner(psql, wait_until)
            error = error_of(await runs.cascade(f"{HERE}:harmless"))
            assert "the setting modules permits only shop" in error
        finally:
            node.terminate()
            await node.wait()

    def test_are_asked_when_a_cascade_is_added(self) -> None:
        oban_pro.configure(modules=["shop"])
        with pytest.raises(oban_pro.errors.InvalidFunctionError) as refusal:
            Workflow().add_cascade("a", forbidden.harmless)
        assert str(refusal.value) == (
            "function of 'a' cannot be a cascade: the setting modules permits only shop;"
            f" got module '{HERE}'"
        )

    async def test_cost_a_job_its_attempts_and_its_workflow_says_why(
        self, oban: Oban, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        workflow = (
            Workflow()
            .add_cascade("a", forbidden.harmless, max_attempts=1)
            .add("b", Job("tests.support.graphs.Work"), deps="a")
        )
        await oban.enqueue_many(workflow)
        oban_pro.configure(modules=["shop"])
        await start_oban()
        await wait_until(lambda: settled(workflow))
        status = await workflow.status()
        assert status.counts == {"discarded": 1, "cancelled": 1}
        assert "the setting modules permits only shop" in (await workflow.explain("b")).summary
