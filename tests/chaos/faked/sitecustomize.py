"""Read by Python when a process with a clock of its own starts: ``time.sleep`` fails there, whatever it is given.

It sleeps until a point of the monotonic clock (since Python 3.11), and libfaketime 0.9.10, told to leave that clock
alone, reckons with the wrong one and answers EINVAL. A lock's time-out is not concerned.
"""

import threading
import time


def sleep(seconds: float, /) -> None:
    """As ``time.sleep``, signals included."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    threading.Event().wait(seconds)


time.sleep = sleep
