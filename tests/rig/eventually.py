"""The one place in the tests that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout: float = 10.0) -> T:
    """What ``condition()`` returns once that is true. Raises ``TimeoutError`` with its last value."""
    deadline, pause = time.monotonic() + timeout, 0.01
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Still {value!r} after {timeout:g} s.")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.3)
    return value
