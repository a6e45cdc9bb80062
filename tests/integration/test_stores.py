"""Recorded values that are kept in a store outside of the database."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fsspec.implementations.local import LocalFileSystem
from oban import Oban
from oban.testing import process_job

import oban_pro
from oban_pro import Workflow, doctor, settings, signal, stores
from oban_pro._plugin.prune import _prune
from oban_pro.engine import insertion
from oban_pro.errors import (
    CodecError,
    InvalidArgumentError,
    InvalidOptionError,
    InvalidSignalError,
    MissingExtraError,
    SettingsError,
)
from oban_pro.sync import Handle
from oban_pro.web import values
from tests.support import kept
from tests.support.cli import invoke
from tests.support.engine import Engine, make_job
from tests.support.graphs import settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from psycopg import AsyncConnection

    from tests.support.fixtures import Run, StartOban, WaitUntil

LARGE = kept.LARGE


@pytest.fixture(autouse=True)
def few_bytes() -> None:
    """Let a thousand bytes be too many for a row."""
    oban_pro.configure(store_above=1_000)


@pytest.fixture(autouse=True)
def no_loop_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where fsspec is called in a thread that runs an event loop."""
    opened: Callable[[str], Any] = stores._open

    def check(url: str) -> Any:
        assert not kept.on_loop(), f"{url} is used on an event loop"

        return opened(url)

    monkeypatch.setattr(stores, "_open", check)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(folder: Path) -> str:
    return f"file://{folder}"


class TestStore:
    async def test_keeps_what_is_too_large_for_a_row(
        self, run: Run, store: str, folder: Path, conn: AsyncConnection
    ) -> None:
        workflow = (
            Workflow(store=store)
            .add_cascade("large", kept.large)
            .add_cascade("small", kept.small)
            .add("plain", kept.Plain.new({}))
            .add_cascade("read", kept.sizes_read, deps=["large", "small", "plain"])
        )
        results = await run(workflow)

        assert results["read"] == {"large": LARGE, "small": 5, "plain": LARGE}
        assert results["large"] == kept.text("a")
        assert await workflow.get_recorded("large") == kept.text("a")
        assert await workflow.result("plain") == kept.text("w")
        assert [value async for _, value in workflow.stream_recorded("large")] == [kept.text("a")]
        followed = workflow.stream_recorded("large", follow=True)
        assert [value async for _, value in followed] == [kept.text("a")]
        jobs = await workflow.all_jobs(names=["large", "plain"])
        assert kept.objects(folder) == sorted(f"{job.id}/1" for job in jobs)
        cursor = await conn.execute("SELECT max(length(meta ->> 'return')) FROM oban_jobs")
        assert (await cursor.fetchone() or (0,))[0] < 1_000

    @pytest.mark.parametrize("url", ["memory://results", "memory://"])
    async def test_may_be_any_file_system(self, run: Run, url: str) -> None:
        workflow = Workflow(store=url).add_cascade("large", kept.large)
        results = await run(workflow)
        job = await workflow.get_job("large")

        assert results == {"large": kept.text("a")}
        assert job is not None
        found = await asyncio.to_thread(stores.find, url, workflow.id)
        assert found == [(f"{stores.folder(url, workflow.id, job.id)}/1", job.id, "1")]

    async def test_holds_what_groups_and_batches_record(self, run: Run, store: str) -> None:
        workflow = (
            Workflow(store=store)
            .add_cascade("call", (range(3), kept.large_item))
            .add_cascade("batched", (range(3), kept.large_batch), batch=2)
            .add_cascade("lazy", kept.sizes_read_lazily, deps="call", lazy=True)
            .add_cascade("read", kept.sizes_read, deps=["call", "batched"])
        )
        sizes = {str(n): LARGE for n in range(3)}
        results = await run(workflow)

        assert results["read"] == {"call": sizes, "batched": sizes}
        assert results["lazy"] == {**sizes, "fetched": LARGE}
        assert await workflow.get_recorded("batched/2") == kept.text("2")
        assert len([one async for one in workflow.stream_recorded()]) == 8

    async def test_holds_what_those_read_who_share_a_gate(self, run: Run, store: str) -> None:
        inner = Workflow().add_cascade("one", kept.sizes_read).add_cascade("two", kept.sizes_read)
        workflow = (
            Workflow(store=store)
            .add_cascade("large", kept.large)
            .add_workflow("inner", inner, deps="large")
        )

        assert (await run(workflow))["inner"] == {"one": {"large": LARGE}, "two": {"large": LARGE}}

    async def test_holds_what_a_loop_goes_on_with(
        self, run: Run, store: str, folder: Path, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(store=store).add_cascade("pages", kept.pages)
        results = await run(workflow)
        job = await workflow.get_job("pages")

        assert results == {"pages": kept.text("p", 3 * LARGE)}
        assert job is not None
        await wait_until(lambda: kept.objects(folder) == [f"{job.id}/3.1"])

    async def test_holds_what_final_jobs_and_undos_read(
        self, run: Run, store: str, folder: Path
    ) -> None:
        workflow = (
            Workflow(store=store)
            .add_cascade("booked", kept.large, undo=kept.undo)
            .add_cascade("refuse", kept.refuse, deps="booked", max_attempts=1)
            .add_final("ended", kept.ended)
        )
        results = await run(workflow)

        assert results["ended"] == LARGE
        assert len(kept.objects(folder)) == 2
        assert await workflow.get_recorded("undo/booked") == kept.text("u")

    async def test_of_a_nested_builder_comes_first(self, run: Run, tmp_path: Path) -> None:
        outer, inner = tmp_path / "outer", tmp_path / "inner"
        own = Workflow(store=f"file://{inner}").add_cascade("large", kept.large)
        workflow = (
            Workflow(store=f"file://{outer}")
            .add_workflow("own", own)
            .add_workflow("inherits", Workflow().add_cascade("large", kept.large))
        )
        results = await run(workflow)

        assert len(kept.objects(inner)) == len(kept.objects(outer)) == 1
        assert results == {"own": {"large": kept.text("a")}, "inherits": {"large": kept.text("a")}}

    async def test_is_that_of_grafts_and_additions(
        self, run: Run, store: str, folder: Path, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(store=store).add_graft("grow", kept.grow)
        results = await run(workflow)
        handle = Workflow(id=workflow.id)
        await handle.append(Workflow().add_cascade("added", kept.large))
        await wait_until(lambda: settled(workflow))

        assert results == {"grow": {"grown": kept.text("a")}}
        assert await handle.get_recorded("added") == kept.text("a")
        assert len(kept.objects(folder)) == 2

    async def test_of_an_addition_is_refused(self, oban: Oban, store: str) -> None:
        workflow = Workflow().add_cascade("a", kept.small)
        await oban.enqueue_many(workflow)

        with pytest.raises(InvalidArgumentError, match="must not have a store of its own"):
            await workflow.append(Workflow(store=store).add_cascade("b", kept.small))

    async def test_is_shown_on_the_page(self, run: Run, store: str) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)
        job = await workflow.get_job("large")

        assert job is not None
        shown = values.show_recorded(job.meta)
        assert shown == f"2,006 bytes, kept at {stores.folder(store, workflow.id, job.id)}/1"

    async def test_is_read_without_an_event_loop(self, run: Run, store: str, dsn: str) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)
        handle = Handle(workflow.id, dsn)

        assert await asyncio.to_thread(handle.get_recorded, "large") == kept.text("a")
        await asyncio.to_thread(handle.delete)
        assert await asyncio.to_thread(stores.find, store) == []

    async def test_is_not_used_by_jobs_that_run_in_place(self, store: str, folder: Path) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)

        for job in workflow:
            await process_job(job)

        assert kept.objects(folder) == []

    async def test_takes_ids_that_no_file_could_have(
        self, run: Run, store: str, folder: Path
    ) -> None:
        ids = ["../../up", "..", "a/b", "*?[x]#%", "ü" * 200, "s3://b::c"]

        for id in ids:
            await run(Workflow(id, store=store).add_cascade("large", kept.large))

        assert len(kept.workflows(folder)) == len(ids)
        assert len(kept.objects(folder)) == len(kept.objects(folder.parent)) == len(ids)

        for id in ids:
            assert await Workflow(id).get_recorded("large") == kept.text("a")
            await Workflow(id).delete()

        assert kept.objects(folder) == []


class TestWriting:
    async def test_fails_the_attempt_where_it_fails(
        self, run: Run, store: str, folder: Path
    ) -> None:
        kept.stand_in_the_way(folder)
        workflow = Workflow(store=store).add_cascade(
            "large", kept.make_way, backoff=0, max_attempts=3
        )
        await run(workflow.add_context({"way": str(folder)}))
        job = await workflow.get_job("large")

        assert job is not None
        assert (job.attempt, len(job.errors)) == (2, 1)
        assert "NotADirectoryError" in str(job.errors)
        assert await workflow.get_recorded("large") == kept.text("a")
        assert kept.objects(folder) == [f"{job.id}/2"]

    async def test_leaves_only_the_object_of_the_last_attempt(
        self, run: Run, store: str, folder: Path, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)
        await workflow.retry_jobs(names=["large"])
        await wait_until(lambda: settled(workflow))
        job = await workflow.get_job("large")

        assert job is not None
        await wait_until(lambda: kept.objects(folder) == [f"{job.id}/2"])
        assert await workflow.get_recorded("large") == kept.text("a")

    async def test_leaves_no_object_where_the_last_attempt_records_little(
        self, run: Run, store: str, folder: Path, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)
        oban_pro.configure(store_above=None)
        await workflow.retry_jobs(names=["large"])
        await wait_until(lambda: settled(workflow))

        await wait_until(lambda: kept.objects(folder) == [])
        assert await workflow.get_recorded("large") == kept.text("a")


class TestReading:
    async def test_names_job_and_object_where_it_is_missing(
        self, run: Run, store: str, folder: Path, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)
        shutil.rmtree(folder)
        reader = Workflow(check_deps=False).add_cascade(
            "read", kept.sizes_read, deps="large", max_attempts=1
        )
        await workflow.append(reader)
        await wait_until(lambda: settled(workflow))
        job = await workflow.get_job("read")
        message = f"recorded value of job 'large': the object {re.escape(store)}/.*/1 is missing"

        assert job is not None
        assert re.search(message, str(job.errors).replace("\\'", "'"))

        for read in (
            workflow.get_recorded("large"),
            workflow.all_recorded(),
            workflow.result("large"),
            anext(aiter(workflow.stream_recorded())),
        ):
            with pytest.raises(CodecError, match=message):
                await read


class TestSignals:
    async def test_with_large_payloads_are_kept(
        self, run: Run, start_oban: StartOban, store: str, folder: Path, wait_until: WaitUntil
    ) -> None:
        workflow = (
            Workflow(store=store)
            .add_signal("one")
            .add_signal("two", count=2)
            .add_cascade("read", kept.sizes_read, deps=["one", "two"])
            .add_cascade("ask", kept.ask)
        )
        running = asyncio.ensure_future(run(workflow))
        await wait_until(lambda: asks(workflow))
        payload = kept.text("s")

        assert await workflow.signal("one", payload) == 1
        assert await workflow.signal("two", payload, by="ada") == 1
        assert await workflow.signal("two", [payload], by="bob") == 1
        assert await workflow.signal("ask", payload) == 1
        results = await running

        assert results["read"] == {"one": LARGE, "two": 2}
        assert results["two"] == [payload, [payload]]
        assert results["ask"] == LARGE
        assert [one.payload for one in await workflow.signals("two")] == [payload, [payload]]
        assert len(kept.objects(folder)) == 4
        await workflow.delete()
        assert kept.objects(folder) == []

    async def test_for_a_group_share_an_object(
        self, engine: Engine, store: str, folder: Path
    ) -> None:
        group = Workflow().add_signal("legal").add_signal("tax")
        workflow = Workflow(store=store).add_workflow("reviews", group)
        await engine.enqueue(workflow)

        assert await workflow.signal("reviews", kept.text("s")) == 2
        assert await workflow.get_recorded("reviews/tax") == kept.text("s")
        assert len(kept.objects(folder)) == 1
        assert await doctor.audit() == []

    async def test_that_nobody_takes_leave_no_object(
        self, engine: Engine, store: str, folder: Path
    ) -> None:
        workflow = Workflow(store=store).add_signal("one").add("job", make_job())
        await engine.enqueue(workflow)
        await workflow.signal("one", "first")

        assert await workflow.signal("one", kept.text("s")) == 0

        with pytest.raises(InvalidSignalError):
            await workflow.signal("job", kept.text("s"))

        assert kept.objects(folder) == []

    async def test_for_several_jobs_are_kept_by_each(
        self, engine: Engine, store: str, folder: Path
    ) -> None:
        workflow = Workflow(store=store).add_signal("one")
        other = Workflow().add_signal("two")
        await engine.enqueue(workflow, other)
        ids = [engine.ids["one"], engine.ids["two"]]

        assert await signal([*ids, 999_999], kept.text("s")) == 2
        assert await workflow.get_recorded("one") == kept.text("s")
        assert await other.get_recorded("two") == kept.text("s")
        assert len(kept.objects(folder)) == 1


async def asks(workflow: Workflow) -> bool:
    job = await workflow.get_job("ask")

    return job is not None and "wait" in job.meta


class TestReuse:
    @pytest.mark.parametrize("at_once", [2_000, 1])
    async def test_a_reused_result_gets_a_copy_of_its_object(
        self,
        run: Run,
        oban: Oban,
        store: str,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        at_once: int,
    ) -> None:
        monkeypatch.setattr(insertion, "JOBS_PER_STATEMENT", at_once)

        def build(id: str) -> Workflow:
            return (
                Workflow(id, store=store)
                .add_cascade("large", kept.large)
                .add_cascade("small", kept.small)
            )

        await run(build("old"))
        await oban.enqueue_many(build("new").reuse("old"))
        new = await Workflow("new").get_job("large")
        await Workflow("old").delete()

        assert new is not None
        assert kept.objects(folder) == [f"{new.id}/0"]
        assert await Workflow("new").all_recorded() == {"large": kept.text("a"), "small": "small"}
        assert await doctor.audit() == []

    async def test_is_not_for_a_workflow_without_a_store(self, run: Run, store: str) -> None:
        old = Workflow("old", store=store).add_cascade("large", kept.large)
        await run(old)
        new = Workflow("new").add_cascade("large", kept.large)

        assert await new.reuse_plan("old") == {
            "large": "its workflow had a store, and this one has none"
        }


class TestRemoval:
    async def test_prunes_objects_with_their_workflows(
        self, run: Run, oban: Oban, store: str, folder: Path
    ) -> None:
        nested = Workflow().add_cascade("large", kept.large)
        await run(Workflow(store=store).add_workflow("inner", nested))
        await run(Workflow(store=f"{store}/other").add_cascade("large", kept.large))
        assert len(kept.objects(folder)) == 2

        await _prune(oban._query, 0, 100)

        assert kept.objects(folder) == []

    async def test_prunes_objects_of_a_large_workflow(
        self, run: Run, oban: Oban, store: str, folder: Path
    ) -> None:
        await run(Workflow(store=store).add_cascade("call", (range(5), kept.large_item)))

        await _prune(oban._query, 0, 2)

        assert kept.objects(folder) == []

    async def test_spares_what_a_workflow_of_the_same_id_has_kept_since(
        self, run: Run, store: str, folder: Path
    ) -> None:
        await run(Workflow("w", store=store).add_cascade("large", kept.large))
        old = await Workflow("w").get_job("large")
        assert old is not None
        later = f"{stores.folder(store, 'w', (old.id or 0) + 1)}/1"
        await asyncio.to_thread(stores.write, later, b"")

        await Workflow("w").delete()

        assert kept.objects(folder) == [f"{(old.id or 0) + 1}/1"]

    async def test_takes_what_was_grafted_before_a_grafter_grafts_anew(
        self, run: Run, store: str, folder: Path, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(store=store).add_graft("grow", kept.grow)
        await run(workflow)
        before = kept.objects(folder)
        await workflow.retry_jobs(names=["grow"])
        await wait_until(lambda: settled(workflow))

        assert len(kept.objects(folder)) == len(before) == 1
        assert kept.objects(folder) != before
        assert await doctor.audit() == []

    async def test_goes_on_where_objects_cannot_be_deleted(
        self,
        run: Run,
        oban: Oban,
        store: str,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)
        monkeypatch.setattr(LocalFileSystem, "rm_file", kept.refuse_access)

        await workflow.delete()

        assert "the doctor will list it" in caplog.text
        assert await doctor.audit() == []
        (lost,) = await doctor.audit(store=store)
        assert str(lost).startswith(f"nothing refers to the object {store}/")

    async def test_in_the_callers_transaction_leaves_objects(
        self, run: Run, store: str, folder: Path, dsn: str
    ) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)

        def delete_and_roll_back() -> None:
            with psycopg.connect(dsn) as conn:
                Handle(workflow.id, conn).delete()
                conn.rollback()

        await asyncio.to_thread(delete_and_roll_back)

        assert await workflow.get_recorded("large") == kept.text("a")


class TestDoctor:
    async def test_lists_and_deletes_objects_that_nothing_refers_to(
        self, run: Run, store: str, folder: Path
    ) -> None:
        workflow = Workflow(store=store).add_cascade("large", kept.large)
        await run(workflow)
        job = await workflow.get_job("large")
        assert job is not None
        lost = [f"{stores.folder(store, workflow.id, id)}/7" for id in (job.id, 999_999)]

        for url in [*lost, f"{store}/notes.txt", f"{store}/a/b/c"]:
            await asyncio.to_thread(stores.write, url, b"")

        assert {one.name for one in await doctor.audit()} == {*lost}
        assert {one.name for one in await doctor.audit(workflow_id=workflow.id)} == {*lost}
        assert await doctor.repair() == 2
        assert await doctor.audit() == []
        assert {*kept.objects(folder)} == {f"{job.id}/1", "results/notes.txt", "b/c"}
        assert await workflow.get_recorded("large") == kept.text("a")

    async def test_looks_at_a_store_that_no_workflow_names_on_the_command_line(
        self, store: str, folder: Path, dsn: str
    ) -> None:
        await asyncio.to_thread(stores.write, f"{stores.folder(store, 'gone', 7)}/1", b"")

        found = await asyncio.to_thread(invoke, dsn, "doctor", "--store", store)
        mended = await asyncio.to_thread(invoke, dsn, "doctor", "--store", store, "--repair")

        assert (found.exit_code, mended.exit_code) == (1, 0)
        assert "1 difference. Mend with --repair." in found.output
        assert mended.output.endswith("Mended 1 row.\n")
        assert kept.objects(folder) == []

    async def test_spares_what_may_still_be_recorded(self, engine: Engine, store: str) -> None:
        workflow = Workflow(store=store).add("a", make_job())
        await engine.enqueue(workflow)
        await engine.start("a")
        folder = stores.folder(store, workflow.id, engine.ids["a"])
        recent = stores.folder(store, "not-committed", 999_999)

        for url in (f"{folder}/1", f"{recent}/0", f"{recent}/{stores.signal_name()}"):
            await asyncio.to_thread(stores.write, url, b"")

        assert await doctor.audit() == []

    async def test_says_which_store_cannot_be_listed(
        self, engine: Engine, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await engine.enqueue(Workflow(store=store).add("a", make_job()))
        monkeypatch.setattr(LocalFileSystem, "find", kept.refuse_access)

        (unread,) = await doctor.audit()

        assert str(unread) == f"the store {store} cannot be listed: PermissionError: told to"
        assert await doctor.repair() == 0


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("bucket/prefix", "must be a URL, as in 's3://bucket/prefix', got 'bucket/prefix'"),
            ("", "must be a URL"),
            ("nothing://bucket", "must have a protocol that fsspec knows, got 'nothing://bucket'"),
            ("file://relative", "must have an absolute path, got 'file://relative'"),
            ("file:///", "must lead to a bucket or a folder, got 'file:///'"),
        ],
    )
    def test_that_cannot_be_used_are_refused(self, url: str, message: str) -> None:
        with pytest.raises(InvalidOptionError, match=message):
            Workflow(store=url)

    def test_the_url_of_a_store_must_be_a_string(self) -> None:
        with pytest.raises(InvalidArgumentError, match=r"store must be a URL, .* got 3"):
            Workflow(store=3)  # type: ignore[arg-type]

    def test_take_what_their_file_system_takes(self) -> None:
        with pytest.raises(MissingExtraError, match=r"'dropbox://a' cannot be used: .*install"):
            Workflow(store="dropbox://a")

    def test_a_store_needs_the_extra_and_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stores._fsspec.cache_clear()
        monkeypatch.setitem(sys.modules, "fsspec", None)

        with pytest.raises(MissingExtraError, match=r"pip install 'oban-workflows\[store\]'"):
            Workflow(store="memory://")

        stores._fsspec.cache_clear()


class TestSetting:
    def test_is_a_number_of_bytes(self) -> None:
        for value in (-1, True, "much"):
            with pytest.raises(SettingsError, match="must be a number of bytes"):
                oban_pro.configure(store_above=value)  # type: ignore[arg-type]

    def test_may_stand_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        oban_pro.configure(store_above=None)
        monkeypatch.setenv("OBAN_WORKFLOWS_STORE_ABOVE", "5")

        assert settings.store_above() == 5

    def test_is_a_megabyte_by_default(self) -> None:
        oban_pro.configure(store_above=None)

        assert settings.store_above() == 1_000_000
