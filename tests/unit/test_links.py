"""Addresses of pages."""

import pytest

from oban_pro.model.links import page_of, trace_of


class TestPages:
    @pytest.mark.parametrize("dashboard", ["https://shop.example/x", "https://shop.example/x/"])
    def test_are_below_the_dashboard(self, dashboard: str) -> None:
        page = "https://shop.example/x/workflows/nightly-7"
        assert page_of(dashboard, "nightly-7") == page
        assert page_of(dashboard, "nightly-7", job_id=4711) == f"{page}#4711"
        assert page_of(dashboard, "nightly-7", path="notify/e mail") == f"{page}?q=notify/e%20mail"

    def test_of_any_id_are_one_part_of_a_path(self) -> None:
        assert page_of("http://x", "a/jobs") == "http://x/workflows/a%252Fjobs"
        assert page_of("http://x", "..") == "http://x/workflows/%252E%252E"


class TestTraces:
    def test_are_read_from_what_a_job_carries_whatever_that_is(self) -> None:
        trace = "0af7651916cd43dd8448eb211c80319c"
        assert trace_of(f"00-{trace}-b7ad6b7169203331-01") == trace
        assert [trace_of(other) for other in (None, "", "x", 7, {"a": 1})] == [None] * 5
