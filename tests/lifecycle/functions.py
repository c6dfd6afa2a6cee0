"""Functions that jobs of these tests name."""

import threading

broken = threading.Event()
"""While set, ``fragile`` raises."""
entered, may_leave = threading.Event(), threading.Event()


def doubled(value):
    return 2 * value


def fragile(value):
    if broken.is_set():
        raise RuntimeError("the disk is full")
    return f"processed {value}"


def leaves_the_process(value):
    raise SystemExit(3)


def slow(value):
    entered.set()
    assert may_leave.wait(20)
    return value


def returns_a_lambda(value):
    return lambda: value


class Stubborn:
    """Does not want to be pickled, and says so in its own way."""

    def __reduce__(self):
        raise ValueError("not me")


def returns_something_stubborn(value):
    return Stubborn()
