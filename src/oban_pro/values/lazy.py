"""Results of a group that are read while somebody looks at them."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from typing import Any, Protocol

from oban_pro.blocking import iterate, run
from oban_pro.errors import CascadeError

from .recorded import ABSENT

type Entry = tuple[str, Any]


class ResultSource(Protocol):
    """Where the results of a group are."""

    def entries(self) -> AsyncIterator[Entry]:
        """Yield what each member recorded, by name; of a group in it, `LazyResults`."""
        ...

    async def find(self, name: str) -> Any:
        """Return what one member recorded, or `ABSENT`."""
        ...


class LazyResults(Mapping[str, Any]):
    """Results of a group, by name, that are read in pages while somebody looks at them.

    What ``context["call"]`` is in a cascade with ``lazy=True``. It keeps nothing: memory stays
    small, and who reads twice asks the database twice. First come jobs, in order of id, then groups
    in the group, whose results are `LazyResults` again.

    In a ``def`` it is read as any dict. In an ``async def`` use ``async for`` over it, its
    ``items()`` or ``values()``; and `fetch` for one of them.

    Example:
        >>> async def report(context):
        ...     return sum([value async for value in context["call"].values()])
    """

    def __init__(self, name: str, source: ResultSource) -> None:
        self._name = name
        self._source = source

    def __repr__(self) -> str:
        return f"<lazy results of {self._name!r}>"

    def __getitem__(self, name: str) -> Any:
        self._require_thread()

        return run(self.fetch(name))

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._entries())

    async def __aiter__(self) -> AsyncIterator[str]:
        async for name, _ in self._source.entries():
            yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    async def fetch(self, name: str) -> Any:
        """Read the result of one member.

        Raises:
            KeyError: If there is none of that name, or it recorded nothing.

        Example:
            >>> first = await context["call"].fetch("0")
        """
        found = await self._source.find(name)

        if found is ABSENT:
            raise KeyError(name)

        return found

    def keys(self) -> LazyKeys:
        """Return a view of the names."""
        return LazyKeys(self)

    def values(self) -> LazyValues:
        """Return a view of the results."""
        return LazyValues(self)

    def items(self) -> LazyItems:
        """Return a view of names and results."""
        return LazyItems(self)

    def _entries(self) -> Iterator[Entry]:
        self._require_thread()

        return iterate(self._source.entries())

    def _require_thread(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return

        raise CascadeError(
            f"results of {self._name!r} are lazy: in an async def read them with 'async for', or"
            " one of them with 'await results.fetch(name)'"
        )


class LazyKeys(KeysView[str]):
    """Names of members, for ``for`` and ``async for``."""

    _mapping: LazyResults

    def __aiter__(self) -> AsyncIterator[str]:
        return self._mapping.__aiter__()


class LazyItems(ItemsView[str, Any]):
    """Names and results, for ``for`` and ``async for``."""

    _mapping: LazyResults

    def __iter__(self) -> Iterator[Entry]:
        return self._mapping._entries()

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self._mapping._source.entries()


class LazyValues(ValuesView[Any]):
    """Results, for ``for`` and ``async for``."""

    _mapping: LazyResults

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._entries())

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for _, value in self._mapping._source.entries():
            yield value


class Loaded:
    """Results that are in memory, for jobs that run inline."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self._results = results

    async def entries(self) -> AsyncIterator[Entry]:
        """Yield what each member recorded, by name."""
        for entry in self._results.items():
            yield entry

    async def find(self, name: str) -> Any:
        """Return what one member recorded, or `ABSENT`."""
        return self._results.get(name, ABSENT)
