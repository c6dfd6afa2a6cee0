"""A long line to a server of loopback: whatever is said arrives some time later, and who speaks in turn is counted."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class Line:
    """A proxy in front of a server. What is said does not wait for what was said before."""

    target: int
    delay: float
    """Seconds that everything takes, each way."""
    port: int = 0
    turns: int = 0
    """How often the near end has spoken after it was spoken to."""
    _answered: bool = False

    async def open(self) -> None:
        """Listen, from when the loop runs."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1")
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and cut all connections."""
        self._server.close()
        carrying = asyncio.all_tasks() - {asyncio.current_task()}
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        there, back = self._carry(reader, far_writer, near=True), self._carry(far_reader, writer, near=False)
        with suppress(asyncio.CancelledError):  # which asyncio would report
            await asyncio.gather(there, back)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, near: bool) -> None:
        under_way: deque[bytes] = deque()

        def arrive() -> None:
            self._answered |= not near
            sink.write(under_way.popleft())

        try:
            while said := await source.read(65536):
                if near and self._answered:
                    self.turns, self._answered = self.turns + 1, False
                under_way.append(said)
                asyncio.get_running_loop().call_later(self.delay, arrive)
            await asyncio.sleep(self.delay)
        except ConnectionError:
            pass  # cut: the other end will be told
        finally:
            sink.close()


@contextmanager
def line(target: int, delay: float) -> Iterator[Line]:
    """A ``Line`` to the server at a port of loopback."""
    laid, loop = Line(target, delay), asyncio.new_event_loop()
    loop.run_until_complete(laid.open())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield laid
    finally:
        asyncio.run_coroutine_threadsafe(laid.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
