"""A way to a server on which answers are held back until a test lets them through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Held:
    """A proxy in front of a server of loopback: what is asked arrives, what is answered does not."""

    target: int
    port: int
    connections: int = 0
    """How many there ever were."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set it to let all answers through, those that were held and those to come."""

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                self.connections += 1
                far = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._carry, args=[near, far], daemon=True).start()
                threading.Thread(target=self._answer, args=[far, near], daemon=True).start()

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        self.released.wait()
        self._carry(far, near)

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), source, sink:
            while said := source.recv(65536):
                sink.sendall(said)


@contextmanager
def held(target: int) -> Iterator[Held]:
    """A ``Held`` in front of the server at a port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Held(target, listener.getsockname()[1])
        thread = threading.Thread(target=proxy.serve, args=[listener], daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.released.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
