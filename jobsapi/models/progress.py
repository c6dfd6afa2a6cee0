"""What a job says of itself: how far it is, and a line of words. Pure: what is kept of it, and what is not.

It is kept as ``{"job": entry, "parts": {name: entry}}``, where an entry has ``done``, ``total``, ``message``,
``claim`` and ``sequence``, as far as they were told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from jobsapi.exceptions import InvalidReport
from jobsapi.models.text import clean

PAUSE = timedelta(seconds=0.25)
"""Between two reports of a job that are written, whichever of its parts they are of. Of what comes sooner only one that
says that all is done is kept: there may be no other."""
PARTS_KEPT = 500
"""Parts of which reports are kept."""
PARTS_ROOM = 64 * 1024
"""Bytes that the parts have together. Beyond it no other part is kept, and of those that are no more words."""
MESSAGE, PART_MESSAGE, PART_NAME = 500, 200, 100
"""Characters that are kept."""
LARGEST = 2**31 - 1

FIELDS = ("progress", "progress_done", "progress_total", "message", "status", "part", "sequence", "time")
"""What a report may say."""

CLAIMS: Mapping[str, str] = {
    **dict.fromkeys(("running", "submitted", "pending"), ""),
    **dict.fromkeys(("done", "complete", "completed", "succeeded", "success", "ok"), "done"),
    **dict.fromkeys(("failed", "error", "aborted"), "failed"),
}
"""Words for ``status``, and which end they claim."""


class Ignored(StrEnum):
    """Why a report was taken and not kept."""

    OLDER = "older"
    """One that was made later has been kept already."""
    SOON = "too soon"
    """The one before it came a moment ago."""
    NOTHING_NEW = "nothing new"
    TOO_MANY = "too many parts"
    NO_ROOM = "no room for more of parts"
    """The parts have said as much as is kept."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report, as it was understood. What it does not say is None, or empty."""

    done: int | None = None
    total: int | None = None
    message: str | None = None
    claim: str = ""
    part: str = ""
    """The node or proc that speaks; empty for the job as a whole."""
    sequence: float | None = None
    """Grows from report to report, so that their order is known; the time will do."""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """A report from the fields of a form, or of JSON. Raises ``InvalidReport``."""
        if unknown := sorted(set(fields) - set(FIELDS)):
            raise InvalidReport(f"{clean(unknown[0], 60)!r} is not known. A report may have {', '.join(FIELDS)}.")
        if not fields:
            raise InvalidReport(f"The report is empty. It may have {', '.join(FIELDS)}.")
        done, total = _whole(fields, "progress_done"), _whole(fields, "progress_total")
        if "progress" in fields:
            if done is not None or total is not None:
                raise InvalidReport("Give either progress, or progress_done and progress_total.")
            percent = _number(fields, "progress")
            if percent is None or not 0 <= percent <= 100:
                raise InvalidReport("progress is a percentage: a number from 0 to 100.")
            done, total = math.floor(percent), 100
        if done is not None and total is not None and done > total:
            raise InvalidReport(f"progress_done is {done}, which is more than progress_total, {total}.")
        sequence = _number(fields, "sequence")
        message = " ".join(_text(fields, "message").split())
        part = " ".join(_text(fields, "part").split())
        if len(part) > PART_NAME:
            raise InvalidReport(f"part has {len(part)} characters; {PART_NAME} are the most.")
        return cls(
            done=done,
            total=total,
            message=clean(message, PART_MESSAGE if part else MESSAGE) if "message" in fields else None,
            claim=_claim(_text(fields, "status")),
            part=clean(part),
            sequence=_number(fields, "time") if sequence is None else sequence,
        )


def merged(kept: Mapping[str, Any], last: datetime | None, report: Report, now: datetime) -> dict[str, Any] | Ignored:
    """What is to be kept after ``report``, when ``kept`` was, since ``last``; or why it stays as it is."""
    parts: Mapping[str, Any] = kept.get("parts", {})
    before = entry_of(kept, report.part)
    if report.part and not before and len(parts) >= PARTS_KEPT:
        return Ignored.TOO_MANY
    if report.sequence is not None and report.sequence <= before.get("sequence", -math.inf):
        return Ignored.OLDER
    entry = {**before, **_progress(before, report)}
    if report.message is not None:
        entry["message"] = report.message
    if report.claim:
        entry["claim"] = report.claim
    if entry == before:
        return Ignored.NOTHING_NEW
    is_end = bool(report.claim and not before.get("claim")) or (_share(entry) == 1 and _share(before) != 1)
    if not is_end and last is not None and last <= now < last + PAUSE:
        return Ignored.SOON
    if report.sequence is not None:
        entry["sequence"] = report.sequence
    if not report.part:
        return {**kept, "job": entry}
    after = {**parts, report.part: entry}
    if len(json.dumps(after)) > PARTS_ROOM:
        after[report.part] = _without_new_words(entry, before)
        if not before or _said(after[report.part]) == _said(before):
            return Ignored.NO_ROOM
    return {**kept, "parts": after}


def entry_of(kept: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """What is kept of a part, or of the job as a whole when ``part`` is empty; empty when it has said nothing."""
    found: Mapping[str, Any] = kept.get("parts", {}).get(part, {}) if part else kept.get("job", {})
    return found


def words(entry: Mapping[str, Any]) -> str:
    """What an entry says, in a line: ``40 %: Half of it is routed``."""
    amount = extent(int(entry.get("done", 0)), int(entry.get("total", 0)))
    return ": ".join(filter(None, (amount, str(entry.get("message") or ""))))


def extent(done: int, total: int) -> str:
    """How far that is: ``40 %``, ``3 of 8``; empty when nobody has said how much there is to do."""
    if total == 100:
        return f"{done} %"
    return f"{done:,} of {total:,}" if total else ""


def _without_new_words(entry: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with the message that was there before, if there was one."""
    return {**_said(entry, "message"), **({"message": before["message"]} if "message" in before else {})}


def _said(entry: Mapping[str, Any], but: str = "sequence") -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != but}


def _progress(before: Mapping[str, Any], report: Report) -> dict[str, int]:
    """How far it is now. Of reports whose order is not known, none leads back."""
    told = {name: value for name, value in (("done", report.done), ("total", report.total)) if value is not None}
    after = {**before, **told}
    if after.get("total") and after.get("done", 0) > after["total"]:
        after["done"] = after["total"]
    if report.sequence is None and _place(after) < _place(before):
        return {}
    return {name: after[name] for name in ("done", "total") if name in after}


def _place(entry: Mapping[str, Any]) -> float:
    """To compare how far two entries are: by their shares if the extent is known, else by what is done."""
    return _share(entry) if entry.get("total") else float(entry.get("done", 0))


def _share(entry: Mapping[str, Any]) -> float:
    total = entry.get("total", 0)
    return float(entry.get("done", 0) / total) if total else 0.0


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidReport(f"{name} must be text.")
    return value


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidReport(f"{name} must be a number.")
    return number


def _whole(fields: Mapping[str, Any], name: str) -> int | None:
    number = _number(fields, name)
    if number is None:
        return None
    if number != math.floor(number) or not 0 <= number <= LARGEST:
        raise InvalidReport(f"{name} must be a whole number from 0 to {LARGEST:,}.")
    return int(number)


def _claim(word: str) -> str:
    small = word.strip().lower()
    if small and small not in CLAIMS:
        raise InvalidReport(f"status is {clean(word, 60)!r}. Say running, done or failed.")
    return CLAIMS.get(small, "")
