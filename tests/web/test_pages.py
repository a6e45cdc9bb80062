"""What the pages of the dashboard say, and what their view is drawn from."""

import json
import re
from collections.abc import Sequence
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from oban import Job, Oban
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.routing import Mount

import oban_pro
from oban_pro import Workflow, schema
from oban_pro.model.links import quote_id
from oban_pro.web import create_app, static_files
from tests.support.dashboard import browse
from tests.support.databases import Server
from tests.support.fixtures import StartOban
from tests.support.flows import keep_item, nothing
from tests.support.graphs import diamond, settled, work

SCRIPT = "<script>alert('x')</script>"


def page_of(workflow: Workflow, rest: str = "") -> str:
    return f"/workflows/{quote_id(workflow.id)}{rest}"


async def view_of(client: httpx.AsyncClient, workflow: Workflow, **query: str) -> dict[str, Any]:
    answer = await client.get(page_of(workflow, "/view.json"), params=query)
    assert answer.status_code == 200, answer.text

    return dict(answer.json())


def by_name(view: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
    return {member["name"]: member for member in view["members"]}


def drawn_edges(view: dict[str, Any]) -> set[tuple[str, str]]:
    names = {member["id"]: member["name"] for member in view["members"]}

    return {(names[upstream], names[downstream]) for upstream, downstream in view["edges"]}


async def set_states(pool: AsyncConnectionPool, jobs: Sequence[Job], states: list[str]) -> None:
    """Set states by hand, of jobs that began an hour ago."""
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_jobs j SET state = s.state::oban_job_state,"
            " attempted_at = timezone('UTC', now()) - interval '1 hour'"
            " FROM unnest(%s::bigint[], %s::text[]) s(id, state) WHERE j.id = s.id",
            [[job.id for job in jobs], states],
        )


class TestIds:
    @pytest.mark.parametrize(
        "workflow_id",
        ["a/jobs", "a/events", "a/jobs/1", "a/cancel", "100%", "%2F", "a b?c#d", "/", "..", "é/ü"],
    )
    async def test_lead_to_their_workflow_whatever_they_are(
        self, oban: Oban, reader: httpx.AsyncClient, workflow_id: str
    ) -> None:
        await oban.enqueue_many(Workflow(id=workflow_id, name="this one").add("a", work()))
        page = await reader.get("/")
        (link,) = re.findall(r'href="(/workflows/[^"]*)"', page.text)

        answer = await reader.get(link)
        assert answer.status_code == 200
        assert "this one" in answer.text
        view = (await reader.get(f"{link}/view.json")).json()
        assert [member["name"] for member in view["members"]] == ["this one", "a"]
        assert (await reader.get(f"{link}/jobs")).status_code == 200


class TestWorkflow:
    async def test_of_no_such_id_is_not_found(self, reader: httpx.AsyncClient) -> None:
        for path in ("/workflows/none", "/workflows/none/view.json", "/workflows/none/jobs/1"):
            assert (await reader.get(path)).status_code == 404

    async def test_tells_its_state_in_the_title(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = diamond(name="nightly")
        await oban.enqueue_many(workflow)
        assert "<title>executing · nightly</title>" in (await reader.get(page_of(workflow))).text
        await workflow.cancel_jobs()
        assert "<title>cancelled · nightly</title>" in (await reader.get(page_of(workflow))).text

    @pytest.mark.parametrize("id", ["with/slash", "per%cent", "q?uery#hash", "späti", SCRIPT])
    async def test_is_reached_by_any_id(
        self, id: str, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = diamond(id=id)
        await oban.enqueue_many(workflow)
        page = page_of(workflow)
        assert f'href="{page}"' in (await reader.get("/")).text
        assert (await reader.get(page)).status_code == 200
        assert (await reader.get(f"{page}/view.json")).json()["id"] == id

    async def test_of_a_nested_one_leads_back_to_those_around_it(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        outer = Workflow(name="outer").add_workflow("inner", diamond(name="named"))
        jobs = await oban.enqueue_many(outer)
        text = (await reader.get(f"/workflows/{jobs[0].meta['workflow_id']}")).text
        assert f'href="{page_of(outer)}">outer</a>' in text
        assert "<h1>inner" in text


class TestTrace:
    async def test_of_a_job_is_named_and_linked_where_its_page_is_known(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        trace = "0af7651916cd43dd8448eb211c80319c"
        carried = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        workflow = Workflow().add("a", work(meta=carried))
        (job,) = await oban.enqueue_many(workflow)
        page = page_of(workflow, f"/jobs/{job.id}")
        assert f"<dd>{trace}</dd>" in (await reader.get(page)).text
        oban_pro.configure(trace_url="https://traces.example/t/{trace_id}?from=oban")
        link = f'href="https://traces.example/t/{trace}?from=oban"'
        assert link in (await reader.get(page)).text


class TestView:
    async def test_has_members_with_states_and_edges(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        view = await view_of(reader, workflow)
        states = {name: member["state"] for name, member in by_name(view).items() if name}
        waiting = dict.fromkeys(("left", "right", "end"), "suspended")
        assert states == {"start": "available"} | waiting
        assert drawn_edges(view) == {
            ("start", "left"),
            ("start", "right"),
            ("left", "end"),
            ("right", "end"),
        }

    async def test_opens_small_workflows_and_folds_fan_outs(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = (
            Workflow()
            .add_workflow("sub", Workflow().add("inside", work()))
            .add_cascade("many", (["a", "b", "c"], keep_item), deps="sub")
        )
        await oban.enqueue_many(workflow)
        members = by_name(await view_of(reader, workflow))
        assert set(members) == {None, "sub", "inside", "many"}
        assert members["many"]["counts"] == {"suspended": 3}
        assert members["many"]["state"] == "suspended"

    async def test_folds_small_workflows_where_there_are_many(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow()

        for number in range(13):
            workflow.add_workflow(f"sub {number}", Workflow().add("inside", work()))

        await oban.enqueue_many(workflow)
        assert "inside" not in by_name(await view_of(reader, workflow))

    async def test_opens_and_folds_what_it_is_asked_to(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = (
            Workflow()
            .add_workflow("sub", Workflow().add("inside", work()))
            .add_cascade("many", (["a", "b"], keep_item))
        )
        await oban.enqueue_many(workflow)
        before = by_name(await view_of(reader, workflow))
        opened, shut = before["many"]["id"], before["sub"]["id"]
        after = by_name(await view_of(reader, workflow, open=opened, shut=f"{shut},nonsense,"))
        assert set(after) == {None, "sub", "many", "0", "1"}

    async def test_puts_what_is_too_much_into_one_box(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        names = [f"n{number}" for number in range(1000)]
        workflow = Workflow().add("first", work())

        for name in names:
            workflow.add(name, work(), deps="first")

        await oban.enqueue_many(workflow.add("last", work(), deps=names))
        view = await view_of(reader, workflow)
        members = by_name(view)
        assert len(members) == 1 + 150 + 1
        assert members["852 more"]["counts"] == {"suspended": 852}
        assert ("first", "852 more") in drawn_edges(view)

    async def test_shows_failures_among_many(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow().add_cascade("many", (list(range(400)), keep_item))
        jobs = await oban.enqueue_many(workflow)

        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE oban_jobs SET state = 'discarded', discarded_at = now() WHERE id = %s",
                [jobs[-1].id],
            )

        folded = by_name(await view_of(reader, workflow))["many"]
        opened = by_name(await view_of(reader, workflow, open=folded["id"]))
        assert folded["counts"] == {"available": 399, "discarded": 1}
        assert opened["399"]["state"] == "discarded"
        assert opened["249 more"]["counts"] == {"available": 249}

    async def test_marks_the_critical_path_and_times_of_what_ran(
        self, start_oban: StartOban, reader: httpx.AsyncClient, wait_until: Any
    ) -> None:
        workflow = diamond()
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        members = by_name(await view_of(reader, workflow))
        assert {"start", "end"} < {name for name, member in members.items() if member["critical"]}
        assert members["left"]["critical"] != members["right"]["critical"]
        times = [members["end"][f"{name}_at"] for name in ("scheduled", "attempted", "settled")]
        assert times == sorted(times)
        assert members[None]["state"] == "completed"


class TestJobs:
    async def jobs(
        self, reader: httpx.AsyncClient, workflow: Workflow, **query: Any
    ) -> tuple[list[str], str]:
        """Read the paths in a page of the table, and what it says about the others."""
        text = (await reader.get(page_of(workflow, "/jobs"), params=query)).text
        paths = re.findall(r"aria-selected=\"false\">\s*<td class=\"path\">([^<]*)", text)

        return paths, " ".join(re.findall(r"<span>([^<]* of [^<]*)</span>", text))

    async def test_reach_every_one_of_ten_thousand(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow().add("first", work())
        workflow.add_cascade("each", (list(range(10_000)), keep_item), deps="first")
        await oban.enqueue_many(workflow)
        reached = [
            path
            for page in range(1, 102)
            for path in (await self.jobs(reader, workflow, page=page))[0]
        ]
        assert reached == ["first", *(f"each / {number}" for number in range(10_000))]
        assert (await self.jobs(reader, workflow, page=999))[1] == "10,001 to 10,001 of 10,001"

    async def test_are_found_by_path_group_and_state(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        sub = Workflow().add("Load", work()).add("check", work(), deps="Load")
        workflow = Workflow().add("load", work()).add_workflow("sub", sub)
        await oban.enqueue_many(workflow)
        group = by_name(await view_of(reader, workflow))["sub"]["id"]
        assert (await self.jobs(reader, workflow))[0] == ["load", "sub / Load", "sub / check"]
        assert (await self.jobs(reader, workflow, q="SUB / L"))[0] == ["sub / Load"]
        assert (await self.jobs(reader, workflow, group=group, q="c"))[0] == ["sub / check"]
        assert (await self.jobs(reader, workflow, state="suspended"))[0] == ["sub / check"]
        assert (await self.jobs(reader, workflow, q="none of them"))[0] == []

    async def test_come_on_the_page_that_a_job_is_on(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow().add_cascade("each", (list(range(250)), keep_item))
        jobs = await oban.enqueue_many(workflow)
        paths, place = await self.jobs(reader, workflow, job=jobs[120].id)
        assert "each / 120" in paths
        assert place == "101 to 200 of 250"


class TestJob:
    async def job_page(
        self, reader: httpx.AsyncClient, workflow: Workflow, name: str
    ) -> httpx.Response:
        members = by_name(await view_of(reader, workflow))

        return await reader.get(page_of(workflow, f"/jobs/{members[name]['id']}"))

    async def test_shows_arguments_recorded_value_and_neighbours(
        self, start_oban: StartOban, reader: httpx.AsyncClient, wait_until: Any
    ) -> None:
        workflow = (
            Workflow()
            .add("up", work())
            .add_cascade("middle", nothing, deps="up")
            .add_cascade("down", nothing, deps="middle")
        )
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        text = (await self.job_page(reader, workflow, "middle")).text
        assert "tests.support.flows" in text
        assert "Recorded" in text
        assert re.search(r"<pre[^>]*>None</pre>", text)
        assert text.index("Upstream") < text.index(">up<") < text.index("Downstream")
        assert text.index("Downstream") < text.index(">down<")

    async def test_explains_what_it_waits_for(self, oban: Oban, reader: httpx.AsyncClient) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        text = (await self.job_page(reader, workflow, "end")).text
        assert "waits for its 2 dependencies" in text
        assert "<title>suspended · end</title>" in text

    async def test_shows_the_error_of_each_attempt(
        self, start_oban: StartOban, reader: httpx.AsyncClient, wait_until: Any
    ) -> None:
        workflow = Workflow().add("a", work("fail", max_attempts=2)).add("b", work(), deps="a")
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        broken = (await self.job_page(reader, workflow, "a")).text
        assert "attempt 1" in broken
        assert "attempt 2" in broken
        assert "told to fail" in broken
        assert (
            "because job &#39;a&#39; was discarded"
            in (await self.job_page(reader, workflow, "b")).text
        )

    async def test_says_so_where_a_recorded_value_cannot_be_read(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)

        async with pool.connection() as conn:
            await conn.execute(
                """UPDATE oban_jobs SET meta = meta || '{"recorded": true, "return": "!"}'"""
            )

        assert "cannot be shown" in (await self.job_page(reader, workflow, "a")).text

    async def test_is_not_found_in_another_workflow(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        one, other = diamond(), diamond()
        jobs = await oban.enqueue_many(one)
        await oban.enqueue_many(other)
        answer = await reader.get(page_of(other, f"/jobs/{jobs[0].id}"))
        assert answer.status_code == 404

    async def test_of_a_deleted_row_still_has_a_page(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        workflow = diamond()
        jobs = await oban.enqueue_many(workflow)

        async with pool.connection() as conn:
            await conn.execute("DELETE FROM oban_jobs WHERE id = %s", [jobs[0].id])

        assert "is gone" in (await self.job_page(reader, workflow, "start")).text


class TestEscaping:
    async def test_of_names_arguments_and_errors(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow(name=SCRIPT, id=f'"{SCRIPT}').add(SCRIPT, work(SCRIPT, tags=[SCRIPT]))
        jobs = await oban.enqueue_many(workflow)

        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE oban_jobs SET errors = jsonb_build_array(%s::jsonb)",
                [json.dumps(dict.fromkeys(("attempt", "at", "error"), SCRIPT))],
            )

        paths = [
            "/",
            f"/?q={quote(SCRIPT)}&state={quote(SCRIPT)}",
            page_of(workflow),
            page_of(workflow, f"/jobs/{jobs[0].id}"),
            page_of(workflow, "/jobs"),
            page_of(workflow, f"/jobs?q={quote(SCRIPT)}"),
            f"/workflows/{quote(SCRIPT, safe='')}",
        ]

        for path in paths:
            text = (await reader.get(path)).text
            assert "<script>alert" not in text
            assert "alert(" in text

    async def test_leaves_no_script_or_style_in_pages(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = diamond()
        jobs = await oban.enqueue_many(workflow)

        paths = [page_of(workflow, rest) for rest in ("", "/jobs", f"/jobs/{jobs[0].id}")]

        for path in ("/", *paths):
            text = (await reader.get(path)).text
            assert " style=" not in text
            assert "<style" not in text
            assert text.count("<script") == text.count("<script src=")


class TestFiles:
    async def test_that_a_page_will_import_are_named_in_its_head(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many(diamond(id="the-one"))
        text = (await reader.get("/workflows/the-one")).text
        urls = re.findall('(?:modulepreload" href|src)="([^"]*[.]js)"', text)
        scripts = {url: (await reader.get(url)).text for url in urls}
        imported = {
            normpath(join(dirname(url), path))
            for url, script in scripts.items()
            for path in re.findall('^import .*"([.].*)"', script, re.MULTILINE)
        }
        assert f"/{static_files.BASE}/graph.js" in imported
        assert imported <= scripts.keys()

    async def test_are_compressed_for_those_who_can_read_that(
        self, reader: httpx.AsyncClient
    ) -> None:
        url = f"/{static_files.BASE}/style.css"
        plain = await reader.get(url, headers={"Accept-Encoding": "identity"})
        packed = await reader.get(url, headers={"Accept-Encoding": "gzip"})
        assert plain.text == packed.text == (static_files.FOLDER / "style.css").read_text()
        assert "Content-Encoding" not in plain.headers
        assert int(packed.headers["Content-Length"]) < len(plain.content) / 2
        assert "immutable" in packed.headers["Cache-Control"]
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert packed.headers["Content-Type"].startswith("text/css")

    @pytest.mark.parametrize("path", ["nothing.js", "../app.py", "%2e%2e/app.py", ""])
    async def test_that_are_not_there_are_not_found(
        self, path: str, reader: httpx.AsyncClient
    ) -> None:
        assert (await reader.get(f"/{static_files.BASE}/{path}")).status_code == 404


class TestMounted:
    async def test_links_stay_below_the_path_it_is_mounted_at(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        app = Starlette(routes=[Mount("/ops/workflows", create_app(pool))])

        async with browse(app) as client:
            text = (await client.get("/ops/workflows/")).text
            assert f'href="/ops/workflows{page_of(workflow)}"' in text
            assert 'href="/workflows' not in text
            answer = await client.get(f"/ops/workflows{page_of(workflow, '/view.json')}")
            assert answer.status_code == 200
            style = await client.get(f"/ops/workflows/{static_files.BASE}/style.css")
            assert style.status_code == 200

    async def test_opens_a_pool_of_its_own_for_a_dsn(self, dsn: str, oban: Oban) -> None:
        await oban.enqueue_many(diamond(name="seen"))
        app = create_app(dsn)

        async with browse(app) as client:
            assert "seen" in (await client.get("/")).text

        await app.state.session.close()

    async def test_looks_into_the_schema_that_prefix_names(
        self, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await schema.install(pool, "other")
        await Oban(pool=pool, prefix="other", name="other").enqueue_many(diamond(name="elsewhere"))

        async with browse(create_app(pool, prefix="other")) as client:
            assert "elsewhere" in (await client.get("/")).text

        assert "elsewhere" not in (await reader.get("/")).text

    async def test_says_that_the_schema_is_missing(self, postgres: Server) -> None:
        with postgres.database() as name:
            app = create_app(postgres.dsn(name))

            async with browse(app) as client:
                answer = await client.get("/")

            await app.state.session.close()

        assert answer.status_code == 503
        assert "install" in answer.text
