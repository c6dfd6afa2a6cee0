"""``make screenshots`` takes pictures of real jobs, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, ROOT
from tests.rig.services import missing

pytestmark = [pytest.mark.browser, pytest.mark.services]

IMAGES = DOCS / "images"
OF_HTCONDOR = {"log.png", "workflow.png"}


@pytest.fixture
def chromium() -> None:
    if shutil.which("chromium") is None:
        missing("Chromium is not installed: run scripts/install-test-services")


@pytest.mark.timeout(300)
def test_the_pictures_are_taken_and_no_process_is_left(chromium, tmp_path):
    mark = f"SCREENSHOT={uuid.uuid4()}"

    done = subprocess.run(
        [sys.executable, DOCS / "make_screenshots.py", tmp_path, "--without-htcondor"],
        env={**os.environ, "SCREENSHOT": mark.partition("=")[2]},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_with(mark) == []
    taken = {picture.name: size(picture) for picture in tmp_path.iterdir()}
    assert taken.keys() == {picture.name for picture in IMAGES.glob("*.png")} - OF_HTCONDOR
    assert {name: width for name, (width, _) in taken.items() if width != 1600} == {"phone.png": 390}


def test_each_picture_is_small_and_shown_with_words_for_those_who_do_not_see_it():
    pictures = {picture.name for picture in IMAGES.glob("*.png")}
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    shown = re.findall(r"!\[([^\]]*)\]\((?:docs/)?images/([\w-]+\.png)\)", "".join(page.read_text() for page in pages))

    assert {name for _, name in shown} == pictures
    assert [name for words, name in shown if len(words) < 20] == []
    assert [name for name in pictures if (IMAGES / name).stat().st_size > 200_000] == []


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
