"""Functions that jobs of these tests name."""

from __future__ import annotations

import threading

broken = threading.Event()
"""While set, ``fragile`` raises."""


def fragile(value):
    if broken.is_set():
        raise RuntimeError("the disk is full")
    return value
