"""Clocks of a campaign that can jump, one for each process of the portal and one for the PostgreSQL server.

The processes see the time of day through ``clock.c``, which reads from a file by how much it is wrong: a jump is there
with the next look. The monotonic clock, which no jump moves, stays right, and so do the times of files. What the
processes start sees their time; HTCondor's daemons, Dask, the broker and the campaign itself have the right one.

libfaketime does not do here: told to leave the monotonic clock alone, it has every timed wait of a condition end at
once, and Python's threads wait for each other by those.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
OFFSETS = "clocks"
"""The folder of the campaign's with one file for each process."""
SECONDS = struct.Struct("q")
"""What is in it: by how much the clock is wrong."""


def library(folder: Path) -> Path | None:
    """What has to be preloaded, compiled into ``folder``; None where there is no compiler."""
    made, compiler = folder / "clock.so", shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    if not made.exists():
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", made, SOURCE], check=True)
    return made


def own_clock(folder: Path, name: str) -> dict[str, str]:
    """What the process ``name`` needs in its environment, so that its clock can jump; nothing without a compiler."""
    found = library(folder)
    if found is None:
        return {}
    clock = folder / OFFSETS / name
    clock.parent.mkdir(exist_ok=True)
    clock.touch()
    set_clock(clock, 0)
    return {"LD_PRELOAD": str(found), "CHAOS_CLOCK": str(clock)}


def set_clock(clock: Path, seconds: int) -> None:
    """Have a clock be wrong by so much. The file stays the same: it is in the memory of the process."""
    file = os.open(clock, os.O_WRONLY)
    try:
        os.pwrite(file, SECONDS.pack(seconds), 0)
    finally:
        os.close(file)
