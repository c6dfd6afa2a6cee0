"""What the Dask jobs of the campaign do. Imported by Dask workers and Celery workers."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

from tests.chaos.ground import append

LARGE = 1_500_000
"""Bytes; more than what a row keeps, so that the result becomes a file in the storage."""
PATIENCE = 600.0
"""Seconds until a task that waits to be stopped ends by itself: longer than any campaign leaves it alone."""


def note(folder: str, uid: str, part: str = "") -> None:
    """One line for each time that this runs: the task's key, which ends in the attempt, when, and the process."""
    from distributed import get_worker

    key = get_worker().get_current_task()  # type: ignore[no-untyped-call]
    append(Path(folder, "ran", uid), f"{key} {part or '-'} {time.time():.3f} {os.getpid()}")


def quick(folder: str, uid: str, number: int) -> int:
    note(folder, uid)
    return number * number


def slow(folder: str, uid: str, number: int, seconds: float) -> int:
    note(folder, uid)
    time.sleep(seconds)
    return number * number


def failing(folder: str, uid: str, number: int) -> int:
    note(folder, uid)
    raise ValueError(f"no depth {number}")


def healed(folder: str, uid: str, number: int) -> int:
    """Fails until its user has put right what was wrong."""
    note(folder, uid)
    if not Path(folder, "go", uid).exists():
        raise ValueError(f"not ready {number}")
    return number + 1


def large(folder: str, uid: str, number: int) -> bytes:
    note(folder, uid)
    return bytes_of(number)


def bytes_of(number: int) -> bytes:
    """The same for the same number, wherever it is computed."""
    return random.Random(number).randbytes(LARGE)


def part(folder: str, uid: str, number: int, index: int) -> int:
    note(folder, uid, f"part-{index}")
    return number + index


def held(folder: str, uid: str, number: int, patience: float = PATIENCE) -> int:
    """Runs until its user, or the end of his patience, lets it go."""
    note(folder, uid)
    deadline = time.monotonic() + patience
    while not Path(folder, "go", uid).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return number


def made(folder: str, uid: str, number: int, client: Any) -> Any:
    """A function that a Celery worker calls: submits a task of its own."""
    return client.submit(sum, client.map(lambda i: i * number, range(8)))


def squared(value: int) -> int:
    """A processing function: a Celery worker calls it with what was computed."""
    return value * value
