"""Hooking into oban, beside others who do."""

from collections.abc import Iterator
from typing import Any

import oban._config
import oban._executor
import oban._producer
import oban._query
import pytest
from psycopg_pool import AsyncConnectionPool

from oban_pro import _host, _plugin

POINTS = (
    "query.insert_jobs",
    "query.ack_jobs",
    "producer.get_jobs",
    "executor.wrap_result",
    "notifier.build",
)


def slots() -> dict[str, Any]:
    return {name: _host.get_ext(name, _missing) for name in POINTS}


def _missing() -> None: ...


@pytest.fixture(autouse=True)
def unregistered() -> Iterator[None]:
    """Start from empty slots, and leave behind what was there."""
    before = slots()
    _plugin.unregister()
    try:
        assert set(slots().values()) == {_missing}
        yield
    finally:
        _plugin.unregister()
        for name in POINTS:
            _host.drop_ext(name)
        _plugin.register()
        assert slots().keys() == before.keys()


class Other:
    """Somebody else's extension: passes everything on, and remembers that it was asked."""

    def __init__(self, following: Any = None) -> None:
        self.following = following
        self.calls: list[Any] = []

    async def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        return [] if self.following is None else await self.following(*args)


class TestRegister:
    def test_registering_fills_every_slot_of_oban(self) -> None:
        _plugin.register()
        assert _missing not in slots().values()

    def test_changes_nothing_the_second_time(self) -> None:
        _plugin.register()
        once = slots()
        _plugin.register()
        assert slots() == once

    async def test_passes_what_is_not_ours_to_whoever_was_there_before(self) -> None:
        other = Other()
        _host.put_ext("query.insert_jobs", other)
        _plugin.register()
        hook = _host.get_ext("query.insert_jobs", _missing)
        query = _host.Query(AsyncConnectionPool("", open=False))
        assert await hook(query, [], None) == []
        assert other.calls == [(query, [], None)]

    def test_takes_a_slot_back_from_an_extension_that_came_later(self) -> None:
        _plugin.register()
        other = Other(_host.get_ext("query.insert_jobs", _missing))
        _host.put_ext("query.insert_jobs", other)
        _plugin.register()
        assert _host.get_ext("query.insert_jobs", _missing) is not other


class TestNotifiers:
    def build(self, spec: dict[str, Any]) -> Any:
        query = _host.Query(AsyncConnectionPool("", open=False))

        return _host.get_ext("notifier.build", _host.default_build_notifier)(spec, query)

    def test_of_others_stay_theirs(self) -> None:
        theirs = object()
        _host.put_ext("notifier.build", lambda spec, query: theirs)
        _plugin.register()
        assert self.build({}) is theirs
        _plugin.unregister()
        assert self.build({}) is theirs

    def test_of_kinds_that_there_are_not_are_refused_by_oban(self) -> None:
        _plugin.register()
        with pytest.raises(ValueError, match="unknown notifier type: 'redis'"):
            self.build({"type": "redis"})

    @pytest.mark.parametrize("kind", [{}, {"type": "postgres"}])
    def test_of_oban_keep_their_options(self, kind: dict[str, Any]) -> None:
        _plugin.register()
        built = self.build(kind | {"beat_interval": 5.0})
        assert isinstance(built, _host.PostgresNotifier)
        assert type(built) is not _host.PostgresNotifier
        assert built._beat_interval == 5.0


class TestUnregister:
    def test_empties_slots_that_were_empty(self) -> None:
        _plugin.register()
        _plugin.unregister()
        assert set(slots().values()) == {_missing}

    def test_puts_back_what_was_there(self) -> None:
        other = Other()
        _host.put_ext("query.ack_jobs", other)
        _plugin.register()
        _plugin.unregister()
        assert _host.get_ext("query.ack_jobs", _missing) is other

    def test_puts_back_what_was_there_after_registering_twice(self) -> None:
        _plugin.register()
        other = Other(_host.get_ext("query.ack_jobs", _missing))
        _host.put_ext("query.ack_jobs", other)
        _plugin.register()
        _plugin.unregister()
        assert _host.get_ext("query.ack_jobs", _missing) is other

    def test_leaves_a_slot_alone_that_somebody_took_over(self) -> None:
        _plugin.register()
        other = Other(_host.get_ext("query.insert_jobs", _missing))
        _host.put_ext("query.insert_jobs", other)
        _plugin.unregister()
        assert _host.get_ext("query.insert_jobs", _missing) is other
        assert _host.get_ext("query.ack_jobs", _missing) is _missing

    def test_puts_back_the_functions_that_have_no_slot(self) -> None:
        def wrapped() -> list[Any]:
            executor: Any = oban._executor
            config = oban._config.Config

            return [
                oban._query.Query.fetch_jobs,
                oban._query.Query.verify_structure,
                executor.Executor.execute,
                executor.resolve_worker,
                config.from_toml,
                config.create_oban,
                oban._producer.Producer.stop,
                oban.Oban.stop,
            ]

        originals = wrapped()
        _plugin.register()
        assert not set(originals) & set(wrapped())
        _plugin.unregister()
        assert wrapped() == originals

    def test_is_harmless_where_nothing_is_registered(self) -> None:
        _plugin.unregister()
        assert set(slots().values()) == {_missing}

    def test_can_be_followed_by_registering_again(self) -> None:
        _plugin.register()
        _plugin.unregister()
        _plugin.register()
        assert _missing not in slots().values()
