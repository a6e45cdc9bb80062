"""Reading timestamps: PostgreSQL holds earlier and later ones than Python can."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
from psycopg import DataError
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
from psycopg.types.datetime import TimestampLoader

if TYPE_CHECKING:
    from psycopg import AsyncCursor
    from psycopg.abc import AdaptContext, Buffer
    from psycopg.abc import Loader as LoaderProtocol

TIMESTAMP = psycopg.adapters.types["timestamp"].oid


def _find_loader() -> type[LoaderProtocol]:
    """Return psycopg's loader, in C where there is one, whatever an application has registered."""
    adapters = AdaptersMap()
    adapters.register_loader(TIMESTAMP, TimestampLoader)
    found = adapters.get_loader(TIMESTAMP, Format.TEXT)
    assert found is not None

    return found


_PsycopgLoader = _find_loader()


class TimeLoader(Loader):
    """Loads a timestamp as an aware one, in UTC; as None past year 9999, or before year 1."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._load = _PsycopgLoader(oid, context).load

    def load(self, data: Buffer) -> datetime | None:
        """Load what the database sends."""
        try:
            time: datetime = self._load(data)
        except DataError:
            return None

        return time.replace(tzinfo=UTC)


def load_times(cursor: AsyncCursor[object]) -> None:
    """Let a cursor load timestamps so that none of them can fail the rows that it returns."""
    cursor.adapters.register_loader(TIMESTAMP, TimeLoader)
