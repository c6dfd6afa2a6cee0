"""``make screenshot`` takes a picture of real jobs, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS
from tests.rig.services import missing

pytestmark = [pytest.mark.browser, pytest.mark.services]


@pytest.fixture(autouse=True)
def chromium() -> None:
    if shutil.which("chromium") is None:
        missing("Chromium is not installed: run scripts/install-test-services")


@pytest.mark.timeout(300)
def test_the_picture_is_taken_and_no_process_is_left(tmp_path):
    picture, mark = tmp_path / "jobs.png", f"SCREENSHOT={uuid.uuid4()}"

    done = subprocess.run(
        [sys.executable, DOCS / "make_screenshot.py", picture],
        env={**os.environ, "SCREENSHOT": mark.partition("=")[2]},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_with(mark) == []
    assert size(picture)[0] == 1920
    assert picture.stat().st_size < 300_000


def test_the_picture_in_the_readme_is_of_that_size():
    assert size(DOCS / "images" / "jobs.png")[0] == 1920


def size(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return struct.unpack(">II", head[16:24])


def processes_with(mark: str) -> list[str]:
    """Those that have inherited a variable of the environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or is another user's
            continue
    return found
