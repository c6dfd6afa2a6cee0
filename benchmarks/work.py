"""What the jobs of the benchmarks do. Imported by Dask's workers."""

from __future__ import annotations

import os
from pathlib import Path


def noted(folder: str, number: int) -> int:
    """The square of ``number``, leaving a line in a file of that name for each time that this runs."""
    notes = os.open(Path(folder) / str(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(notes, f"{os.getpid()}\n".encode())
    finally:
        os.close(notes)
    return number * number
