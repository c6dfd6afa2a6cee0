"""Clocks of a campaign that can jump, one for each process of the portal.

The processes see the time through libfaketime, which reads from a file by how much they are wrong. The monotonic clock,
which no jump moves, stays right. What they start at HTCondor, and the database, have the right time.
"""

from __future__ import annotations

import os
from pathlib import Path

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
"""Where Debian and Red Hat have it."""
MENDED = Path(__file__).with_name("faked")
"""The folder of what makes Python go on under libfaketime."""
OFFSETS = "clocks"
"""The folder of the campaign's with one file for each process."""


def library() -> Path | None:
    """libfaketime, if it is installed."""
    return next((found for pattern in LIBRARIES for found in Path("/").glob(pattern[1:])), None)


def own_clock(folder: Path, name: str) -> dict[str, str]:
    """What the process ``name`` needs in its environment, so that its clock can jump; nothing without libfaketime."""
    found = library()
    if found is None:
        return {}
    clock = folder / OFFSETS / name
    clock.parent.mkdir(exist_ok=True)
    if not clock.exists():
        set_clock(clock, 0)
    return {
        "LD_PRELOAD": str(found),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(MENDED), os.environ.get("PYTHONPATH")])),
    }


def set_clock(clock: Path, seconds: int) -> None:
    """Have a clock be wrong by so much."""
    draft = clock.with_name(f".{clock.name}")
    draft.write_text(f"{seconds:+d}\n")
    draft.rename(clock)
