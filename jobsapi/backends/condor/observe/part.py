"""What one ad says of one part of a job, or of a job of one part."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobsapi.backends.condor import parts, words
from jobsapi.backends.condor.ads import Ad, number, text
from jobsapi.status import Status

IDLE, RUNNING, REMOVED, COMPLETED, HELD, TRANSFERRING, SUSPENDED = 1, 2, 3, 4, 5, 6, 7
PHASES: Mapping[int, Status] = {
    0: Status.SUBMITTED,
    IDLE: Status.SUBMITTED,
    RUNNING: Status.RUNNING,
    HELD: Status.PAUSED,
    TRANSFERRING: Status.RUNNING,
    SUSPENDED: Status.RUNNING,
}
"""JobStatus of what is in the queue.

https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html#JobStatus
"""

RANGES_KEPT = 200
"""Unbroken runs of numbers that are kept of what is in one state now: it changes all the time."""
HOLDS_KEPT = 10
"""Reasons for holds that are kept, those of most parts first."""
HOLD_WORDS_KEPT = 1_000
"""Letters of each."""

_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class End:
    """How a part ended."""

    outcome: str
    """``ok``, ``bad`` or ``removed``."""
    words: str = ""
    facts: Mapping[str, int] = field(default_factory=dict)
    """``exit_code`` or ``exit_signal``."""


def end_of(ad: Ad) -> End:
    """How a part ended whose ad is in the history, or completed in the queue.

    HTCondor calls completed whatever has run to some end. Well is an exit code of 0 alone, or the one that the job's
    description names (``success_exit_code``).
    """
    if number(ad, "JobStatus") == REMOVED:
        return End("removed", text(ad, "RemoveReason") or "removed from HTCondor's queue")
    if number(ad, "JobStatus") != COMPLETED:
        return End("removed", "it left HTCondor's queue before it had ended")
    by_signal, exit_code = number(ad, "ExitSignal"), number(ad, "ExitCode")
    if ad.get("ExitBySignal") is True:
        return End("bad", words.killed(by_signal or 0), {"exit_signal": by_signal or 0})
    if exit_code is None:
        return End("bad", "HTCondor recorded no exit code")
    well = number(ad, "JobSuccessExitCode") or 0
    meaning = f" (success_exit_code is {well})" if well and exit_code != well else ""
    return End("ok" if exit_code == well else "bad", words.exited(exit_code) + meaning, {"exit_code": exit_code})


def phase_of(ad: Ad) -> Status:
    """Submitted, Running or Paused: what the queue says of something that has not ended.

    What is being removed stays what it was until it is gone.
    """
    status = number(ad, "JobStatus")
    if status == REMOVED:
        status = number(ad, "LastJobStatus")
    if status == HELD and number(ad, "HoldReasonCode") == words.SPOOLING:
        return Status.SUBMITTED
    return PHASES.get(status or 0, Status.SUBMITTED)


def hold_of(held: Sequence[Ad]) -> dict[str, Any] | None:
    """What is kept of the first of the held ads, and their number."""
    if not held:
        return None
    first = held[0]
    code, subcode = number(first, "HoldReasonCode"), number(first, "HoldReasonSubCode")
    return {"reason": text(first, "HoldReason"), "code": code, "subcode": subcode, "parts": len(held)}


def holds_of(held: Mapping[int, Ad]) -> list[dict[str, Any]]:
    """Why parts are held: those for the same reason together, in the words that the first of them has for it.

    The same is what has the same codes, and the same words but for those with a digit: slots, folders, names of files.
    """
    groups: defaultdict[tuple[int | None, int | None, str], list[int]] = defaultdict(list)
    for proc, ad in sorted(held.items()):
        alike = " ".join(word for word in text(ad, "HoldReason").split() if not _DIGIT.search(word))
        groups[number(ad, "HoldReasonCode"), number(ad, "HoldReasonSubCode"), alike].append(proc)
    largest = sorted(groups.values(), key=lambda procs: (-len(procs), procs))[:HOLDS_KEPT]
    return [
        {
            **numbered(procs),
            "words": words.sentence(words.held(held[procs[0]]).removeprefix("Held: ")[:HOLD_WORDS_KEPT]),
        }
        for procs in largest
    ]


def numbered(procs: Iterable[int]) -> dict[str, Any]:
    """How many parts these are, and which; of very many runs of numbers the first."""
    every = set(procs)
    return {"parts": len(every), "numbers": ",".join(parts.text(every).split(",")[:RANGES_KEPT])}


def machine_of(ad: Ad) -> str:
    """Where it runs or ran, without the name of the slot: ``slot1_3@node7`` is ``node7``."""
    return (text(ad, "RemoteHost") or text(ad, "LastRemoteHost")).rpartition("@")[2]


def megabytes(ad: Ad) -> int:
    """The most memory that it has used."""
    return ((number(ad, "ResidentSetSize") or 0) + 1023) // 1024


def changed(found: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be written: every change is a row, and what is empty and always was is none."""
    empty: tuple[Any, ...] = (None, "", [], {})
    return {
        key: value
        for key, value in found.items()
        if state.get(key) != value and not (value in empty and state.get(key) in empty)
    }


def moment(seconds: int | None) -> datetime | None:
    """A time of HTCondor's, or None for what is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds and seconds > 0 else None
    except (OverflowError, OSError, ValueError):
        return None
