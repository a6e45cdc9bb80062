"""Jobs as rows: what is stored is what was given, however much of it jobs share."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from oban import Job

from oban_pro import Workflow
from oban_pro.building.plan import plan_of
from oban_pro.engine.encoding import Entry, Rows, encode

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(**opts: Any) -> Job:
    return Job("tests.Worker", **opts)


def stored(rows: Rows) -> list[dict[str, Any]]:
    """Put together what the statement stores."""
    ids = range(1, len(rows.entries) + 1)
    rows.number(ids, NOW)
    params = rows.params(ids)
    shapes = {shape["n"]: shape for shape in orjson.loads(params["shapes"])}
    numbers = params["numbers"].strip("{}").split(",")

    return [
        {
            **(shape := shapes[int(n)]),
            "meta": shape["meta"] | {"name": own} if shape["meta"] else own,
        }
        for n, own in zip(numbers, orjson.loads(params["metas"]), strict=True)
    ]


def fan_out(*metas: dict[Any, Any]) -> Rows:
    """Encode a fan-out whose first items have some meta of their own."""
    jobs = [job(meta=meta) for meta in metas] + [job() for _ in range(12)]
    workflow = list(Workflow().add("first", job()).add_many("all", jobs, deps="first"))
    plan = plan_of(workflow[0])
    assert plan is not None

    return encode(Entry(planned.job, planned, plan) for planned in plan.jobs)


def _sorted(meta: dict[Any, Any]) -> bytes:
    return orjson.dumps(meta, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)


class TestMeta:
    @pytest.mark.parametrize(
        "metas",
        [
            [],
            [{"a": 1}] * 11,
            [{"a": None}, {"b": {"tenant": 0}}, {"a": None}],
            [{"a": 1}, {"a": True}, {"a": 1.0}],
            [{1: "v"}, {True: "v"}, {1.0: "v"}, {None: "v"}],
            [{"name": "its own"}, {"deps": ["x"]}],
            [{"a": [1]}, {"a": [1]}, {"a": [1, 2]}],
        ],
        ids=str,
    )
    def test_is_stored_as_it_was_given(self, metas: list[dict[Any, Any]]) -> None:
        rows = fan_out(*metas)
        # as text: 1 equals True
        given = [_sorted(entry.job.meta) for entry in rows.entries]
        assert [_sorted(row["meta"]) for row in stored(rows)] == given

    def test_is_sent_once_for_all_that_share_it(self) -> None:
        rows = fan_out()
        assert len(rows.shapes) == 2
        assert rows.metas[1:] == [str(n) for n in range(12)]

    def test_is_what_it_has_become_since(self) -> None:
        workflow = list(Workflow().add_many("all", [job() for _ in range(12)]))
        workflow[5].meta["late"] = True
        plan = plan_of(workflow[0])
        assert plan is not None
        rows = encode(Entry(planned.job, planned, plan) for planned in plan.jobs)
        assert stored(rows)[5]["meta"]["late"] is True

    @pytest.mark.parametrize("name", ['"', "\\", "é", "\n", "\u2028"])
    def test_encoded_meta_holds_any_name(self, name: str) -> None:
        jobs = {f"{name}{n}": job() for n in range(12)}
        workflow = list(Workflow().add_many("all", jobs))
        plan = plan_of(workflow[0])
        assert plan is not None
        rows = encode(Entry(planned.job, planned, plan) for planned in plan.jobs)
        assert [row["meta"]["name"] for row in stored(rows)] == [*jobs]


class TestShape:
    def test_tells_times_apart_that_a_zone_has_twice(self) -> None:
        zone = ZoneInfo("Europe/Berlin")
        times = [datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]
        rows = encode(Entry(job(scheduled_at=at)) for at in times)
        assert [datetime.fromisoformat(row["scheduled_at"]) for row in stored(rows)] == [
            at.astimezone(UTC) for at in times
        ]

    def test_leaves_jobs_the_zone_of_their_times(self) -> None:
        zone = ZoneInfo("Asia/Tokyo")
        at = datetime(2026, 5, 1, tzinfo=UTC)
        rows = encode(Entry(job(scheduled_at=one)) for one in (at, at.astimezone(zone)))
        stored(rows)
        assert rows.entries[1].job.scheduled_at is not None
        assert rows.entries[1].job.scheduled_at.tzinfo is zone

    def test_does_not_share_a_list_of_tags(self) -> None:
        one = job(tags=["a"])
        rows = encode([Entry(one)])
        one.tags.append("b")
        assert stored(rows)[0]["tags"] == ["a"]
