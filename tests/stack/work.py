"""What the jobs of these tests do. Imported by Dask workers and Celery workers."""

from __future__ import annotations

import os
import time
from pathlib import Path


def noted(folder: str, name: str, seconds: float = 0.0) -> str:
    """Leave a line for each time that this runs, then take ``seconds``."""
    with (Path(folder) / name).open("a") as notes:
        notes.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return name


def held(folder: str, name: str) -> str:
    """As ``noted``, until there is a file called ``go`` as well; for two minutes at most."""
    noted(folder, name)
    deadline = time.monotonic() + 120
    while not Path(folder, "go").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return name


def add(a: int, b: int) -> int:
    """A task of no time at all."""
    return a + b


def fail(depth: float) -> float:
    """A task that raises."""
    raise ValueError(f"bad depth {depth}")


def doubled(result: int) -> int:
    """A processing function."""
    return 2 * result


def graph(n: int, client):
    """A function that a Celery worker calls: submits tasks of its own and returns the future of their sum."""
    return client.submit(sum, client.map(lambda i: i * i, range(n)))


def slowly_made(folder: str, seconds: float):
    """A function that a Celery worker calls: takes its time, then gives a graph."""
    import dask

    noted(folder, "called", seconds)
    return dask.delayed(noted)(folder, "ran")


def held_up(folder: str, name: str):
    """A function that a Celery worker calls: gives nothing before there is a file called ``go``."""
    import dask

    return dask.delayed(held(folder, name))


def numbers(size: int):
    """An array of ``size`` bytes."""
    import numpy

    return numpy.arange(size // 8, dtype=float)
