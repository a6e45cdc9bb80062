"""The garbage collector is off for a moment, and never for longer."""

import gc
from collections.abc import Iterator
from threading import Thread

import pytest

from oban_pro.gc_pause import uncollected


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


class TestUncollected:
    def test_turns_the_collector_off_and_on(self) -> None:
        with uncollected():
            assert not gc.isenabled()

        assert gc.isenabled()

    def test_turns_it_on_after_an_error(self) -> None:
        with pytest.raises(ZeroDivisionError), uncollected():
            raise ZeroDivisionError

        assert gc.isenabled()

    def test_leaves_it_off_where_it_was(self) -> None:
        gc.disable()

        with uncollected():
            pass

        assert not gc.isenabled()

    def test_lasts_until_the_last_one_is_out(self) -> None:
        first, second = uncollected(), uncollected()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert not gc.isenabled()
        second.__exit__(None, None, None)
        assert gc.isenabled()

    def test_ends_whatever_threads_were_inside(self) -> None:
        @uncollected()
        def make() -> list[list[int]]:
            return [[] for _ in range(500)]

        def make_often() -> None:
            for _ in range(2_000):
                make()

        threads = [Thread(target=make_often) for _ in range(4)]

        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join()

        assert gc.isenabled()
