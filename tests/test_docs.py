"""The documentation says what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from jobsapi import conf

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_page_of_statuses_is_the_table_that_guards_the_code():
    spec = importlib.util.spec_from_file_location("make_status", DOCS / "make_status.py")
    make_status = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_status)

    assert (DOCS / "status.md").read_text() == make_status.page()


def test_every_setting_is_documented_with_its_name():
    documented = set(
        re.findall(r"^\| `([A-Z_]+)` \|", (DOCS / "settings.md").read_text().split("## The portal")[0], re.M)
    )

    assert documented == set(conf.DEFAULTS)
