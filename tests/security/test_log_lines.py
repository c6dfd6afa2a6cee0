"""A log has lines of ours alone, whatever a job is called and whatever an error says."""

from __future__ import annotations

import io
import logging

import pytest

from jobsapi.log_lines import OwnLines
from worker.log_lines import own_lines

FORGED = "job\n2026-01-01 00:00:00,000 ERROR jobsapi: root was here\r\x1b[2J\x1b]0;title\x07\u202egnol"


@pytest.fixture
def written():
    """A log as the portal writes it, and what was written."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("2026 %(levelname)s %(message)s"))
    logger = logging.Logger("jobsapi")
    logger.addHandler(handler)
    own_lines(logger)
    return logger, out


def own(text: str) -> list[str]:
    """The lines that begin at the margin."""
    return [line for line in text.splitlines() if not line.startswith(" ")]


def test_a_name_forges_no_line_and_moves_no_cursor(written):
    logger, out = written

    logger.warning("Failed: %s", FORGED)

    assert own(out.getvalue()) == ["2026 WARNING Failed: job"]
    assert out.getvalue().replace("\n", "").isprintable()
    assert "root was here" in out.getvalue()


def test_a_traceback_is_whole_and_its_lines_are_indented(written):
    logger, out = written

    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.exception("It failed")

    assert own(out.getvalue()) == ["2026 ERROR It failed"]
    assert "    Traceback (most recent call last):" in out.getvalue()
    assert "raise ValueError(FORGED)" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_what_logging_could_not_put_together_is_written_all_the_same(written):
    logger, out = written

    logger.warning("%d jobs", "no number")

    assert "%d jobs ('no number',)" in out.getvalue()


def test_two_handlers_write_the_same(written):
    logger, out = written
    other = io.StringIO()
    logger.addHandler(logging.StreamHandler(other))
    logger.handlers[1].addFilter(OwnLines())

    logger.warning("a\nb")

    assert "a\n    b\n" in out.getvalue()
    assert other.getvalue() == "a\n    b\n"


def test_the_portal_has_it_on_its_handler(settings):
    assert settings.LOGGING["handlers"]["console"]["filters"] == ["own_lines"]
