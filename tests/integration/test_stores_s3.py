"""A store on S3, or what stands in for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import oban_pro
from oban_pro import Workflow, doctor, stores
from tests.support import kept
from tests.support.graphs import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import Run, WaitUntil

pytestmark = pytest.mark.slow

STORE = "s3://results/of/tests"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide a server that speaks S3, with an empty bucket, for all `s3://` of this process."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    config = pytest.importorskip("fsspec.config")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()

    try:
        host, port = moto.get_host_and_port()
        settings = {"endpoint_url": f"http://{host}:{port}", "key": "k", "secret": "s"}
        monkeypatch.setitem(config.conf, "s3", settings)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().makedirs("results", exist_ok=True)
        yield
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        moto.stop()


@pytest.mark.usefixtures("bucket")
class TestS3:
    async def test_keeps_and_removes_results(self, run: Run, wait_until: WaitUntil) -> None:
        oban_pro.configure(store_above=1_000)
        workflow = (
            Workflow("../a b", store=STORE)
            .add_cascade("call", (range(20), kept.large_item))
            .add_cascade("pages", kept.pages)
            .add_cascade("read", kept.sizes_read, deps=["call", "pages"])
        )
        results = await run(workflow)

        assert results["read"]["call"] == {str(n): len(str(n)) * kept.LARGE for n in range(20)}
        assert results["read"]["pages"] == 3 * kept.LARGE
        await wait_until(lambda: counts(21))
        await workflow.retry_jobs(names=["call/3"])
        await wait_until(lambda: settled(workflow))
        await wait_until(lambda: counts(21))
        await asyncio.to_thread(stores.write, f"{STORE}/lost/999999/1", b"")
        assert await doctor.repair() == 1
        await workflow.delete()
        assert await counts(0)

    async def test_that_has_no_such_bucket_fails_the_attempt(self, run: Run) -> None:
        oban_pro.configure(store_above=1_000)
        workflow = Workflow(store="s3://nowhere").add_cascade("large", kept.large, max_attempts=1)
        await run(workflow)
        job = await workflow.get_job("large")

        assert job is not None
        assert "FileNotFoundError" in str(job.errors)


async def counts(count: int) -> bool:
    return len(await asyncio.to_thread(stores.find, STORE)) == count
