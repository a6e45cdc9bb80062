"""A proxy whose connections can be cut: a Unix socket in front of the server's socket."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import Callable

type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# Messages of the wire protocol: the request of a connection, and a statement.
_PIECE = 65_536


class Proxy:
    """Forwards connections to a server, and cuts them as a test says.

    Args:
        dsn: The DSN of the server, which listens on a Unix socket or on TCP.
    """

    def __init__(self, dsn: str) -> None:
        self.target = dsn
        self._folder = tempfile.TemporaryDirectory(prefix="proxy-")
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.refuses = False
        self.cut_after: Callable[[bytes], bool] | None = None
        self.cut_before: Callable[[bytes], bool] | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def dsn(self) -> str:
        return make_conninfo(self.target, host=self._folder.name, port="5432")

    async def __aenter__(self) -> Self:
        path = Path(self._folder.name) / ".s.PGSQL.5432"
        self._server = await asyncio.start_unix_server(self._accept, path)

        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

        for task in self._tasks:
            task.cancel()

        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._folder.cleanup()

    def cut(self) -> None:
        """Cut all connections. New ones are possible."""
        self.cuts += 1

        for writer in self._writers:
            writer.transport.abort()

        self._writers.clear()

    def stall(self) -> None:
        """Forward nothing in either direction. Connections stay open, and new ones are possible."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forward again, beginning with everything that was held back."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        try:
            if self.refuses:
                raise OSError("no line can be made")

            upstream, server = await self._connect()
        except OSError:
            writer.transport.abort()

            return

        lines = {writer, server}
        self._writers |= lines

        try:
            await asyncio.gather(
                self._forward(reader, server, lines, self._asks),
                self._forward(upstream, writer, lines, self._answers),
            )
        finally:
            self._writers -= lines

            for line in lines:
                line.transport.abort()

    async def _connect(self) -> Streams:
        params = conninfo_to_dict(self.target)
        host, port = str(params["host"]), int(params.get("port") or 5432)

        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")

        return await asyncio.open_connection(host, port)

    def _asks(self, data: bytes) -> bool:
        return self.cut_before is not None and self.cut_before(data)

    def _answers(self, data: bytes) -> bool:
        return self.cut_after is not None and self.cut_after(data)

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lines: set[asyncio.StreamWriter],
        is_end: Callable[[bytes], bool],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_PIECE):
                await self._flowing.wait()

                if is_end(data):
                    self.cuts += 1
                    break

                writer.write(data)
                await writer.drain()

        for line in lines:
            line.transport.abort()
