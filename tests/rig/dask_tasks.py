"""Work for Dask in tests: importable by its workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from dask.delayed import Delayed, delayed


def add_one(number: int) -> int:
    return number + 1


def total(numbers: list[int]) -> int:
    return sum(numbers)


def simulate(depth: int) -> int:
    if depth < 0:
        raise ValueError("bad depth")
    return depth


def noted(folder: str, value: Any) -> Any:
    """``value``, leaving a line in ``folder/runs`` for each time that this runs."""
    with (Path(folder) / "runs").open("a") as runs:
        runs.write("x")
    return value


def needs(path: str) -> str:
    """The text of a file, or ``FileNotFoundError``."""
    return Path(path).read_text()


def until(path: str, value: Any = "done") -> Any:
    """``value`` once the file is there."""
    Path(f"{path}.started").touch()
    deadline = time.monotonic() + 60
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def kill_once(path: str) -> str:
    """End the worker at the first run; say so at the second."""
    marker = Path(path)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "ran again"


def zeros(size: int) -> bytes:
    return bytes(size)


def graph_of(count: int) -> Any:
    """The sum of 1 to ``count``, of one task each; written as a dict because ``delayed`` takes a minute for 20,000."""
    graph: dict[str, Any] = {f"one-{number}": (add_one, number) for number in range(count)}
    return Delayed("total", {**graph, "total": (total, list(graph))})


def with_client(number: int, client: Any) -> Any:
    return client.submit(add_one, number)


def without_client(number: int) -> Any:
    return delayed(add_one)(number)


def lock() -> Any:
    return threading.Lock()
