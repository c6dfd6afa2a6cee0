"""Lines of a log that nobody else can write: names and messages of jobs go into it, and these may be anything."""

from __future__ import annotations

import logging
import re

UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, changes its colours or turns text round."""

_tracebacks = logging.Formatter()


class OwnLines(logging.Filter):
    """Has each record begin at the left margin and nothing else: its further lines are indented.

    Control characters are written as their codes. For handlers; what a formatter adds stays as it is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's text, once; it is always kept."""
        if not getattr(record, "_jobsapi_own_lines", False):
            record._jobsapi_own_lines = True
            record.msg, record.args = harmless(_text(record)), None
            if record.exc_info:
                record.exc_text = harmless("\n" + _tracebacks.formatException(record.exc_info)).removeprefix("\n")
        return True


def harmless(text: str) -> str:
    """``text`` with its further lines indented, and without anything that a terminal would obey."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text).replace("\n", "\n    ")


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit: logging itself would say so, and lose it
        return f"{record.msg} {record.args}"
