"""HTCondor's codes in words."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from jobsapi.backends.condor.ads import Ad, number, text

SPOOLING = 16
"""Hold code of a job whose input files are still on their way to the schedd: it waits, and nobody has held it."""

HOLD_CODES: Mapping[int, str] = {
    1: "by a user",
    3: "its own policy says so (periodic_hold or on_exit_hold)",
    4: "its credential is broken",
    5: "its own policy is undefined (periodic_hold, on_exit_hold or the like)",
    6: "its executable could not be started",
    7: "its output file could not be opened",
    8: "its input file could not be opened",
    12: "an output file could not be brought back",
    13: "an input file could not be sent",
    14: "its folder (initialdir) cannot be reached",
    15: "it was submitted on hold",
    20: "its deferred start was missed",
    21: "the machine held it",
    22: "its event log could not be opened",
    23: "its account cannot be used",
    26: "the pool's policy says so",
    27: "the pool's policy is undefined",
    32: "its input files are larger than allowed",
    33: "its output files are larger than allowed",
    34: "it used more memory or disk than it asked for",
    35: "its container image is not valid",
    46: "it took longer than allowed",
    47: "it ran longer than allowed",
}
"""Why a job is held where HTCondor gives no reason of its own.

https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html#HoldReasonCode
"""


def held(ad: Ad) -> str:
    """``Held: <reason> (13/2)``: code and subcode, which the manual explains and a support desk asks for."""
    code, subcode = number(ad, "HoldReasonCode"), number(ad, "HoldReasonSubCode")
    reason = text(ad, "HoldReason") or HOLD_CODES.get(code or 0, "HTCondor gives no reason")
    numbers = "" if code is None else f" ({code}/{subcode or 0})"
    return f"Held: {reason}{numbers}"


def exited(exit_code: int) -> str:
    """An exit code, with what 126 and 127 mean to every shell."""
    meaning = {126: " (a command could not be executed)", 127: " (a command was not found)"}.get(exit_code, "")
    return f"exit code {exit_code}{meaning}"


def killed(number: int) -> str:
    """A signal, with its name if it has one here."""
    try:
        return f"killed by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"killed by signal {number}"


def sentence(words: str) -> str:
    """``words`` with a capital and a full stop."""
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".") if words else ""


def counted(counts: Mapping[str, int]) -> str:
    """``4 running, 1 held``; what there is none of is left out."""
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
