"""Ports of loopback that nobody else takes, however many tests run side by side."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A free port that stays ours while the block runs: servers may listen on it and end, one after the other.

    A socket that is bound to it and does not listen keeps it: Linux gives such a port to nobody who takes any, and
    lets a server listen that asks for this very one with SO_REUSEADDR, as all of ours do.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]
