"""HTCondor's codes in words."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import NamedTuple

from jobsapi.backends.condor.ads import Ad, number, text

SPOOLING = 16
"""Hold code of a job whose input files are still on their way to the schedd: it waits, and nobody has held it."""
OUT_OF_RESOURCES = 34
"""Hold code of a job that used more than it asked for; the subcode says of what."""


class Hold(NamedTuple):
    """A reason for which HTCondor holds jobs."""

    why: str
    """Told where HTCondor gives no reason of its own."""
    advice: str
    """What its user can do, as one sentence without its full stop."""


WRITABLE = "See that the pool's account may write to the job's folder in its workspace"
RULE = "ask the pool's administrator which, then resume it, or stop it and run it again as that demands"
AGAIN = "Resume it; if it is held again, ask the pool's administrator"
HOLD_CODES: Mapping[int, Hold] = {
    1: Hold("by a user", "Resume it when it shall go on"),
    3: Hold(
        "its own policy says so (periodic_hold or on_exit_hold)",
        "The job asked for this itself: mend what its periodic_hold or on_exit_hold looks for, then resume it",
    ),
    4: Hold("its credential is broken", "Have its credentials renewed, then resume it"),
    5: Hold(
        "its own policy is undefined (periodic_hold, on_exit_hold or the like)",
        "Stop it, mend its periodic_hold, on_exit_hold or the like, and run it again",
    ),
    6: Hold(
        "its executable could not be started",
        "See that its executable is there, is made for that machine and, if it is a script, names in its first line an "
        "interpreter that the machine has; then stop it and run it again",
    ),
    7: Hold("its output file could not be opened", f"{WRITABLE}, and that there is room, then resume it"),
    8: Hold(
        "its input file could not be opened",
        "See that the file it reads as input is there and that the pool's account may read it, then resume it",
    ),
    9: Hold("its output could not be streamed", f"{WRITABLE}, and that there is room, then resume it"),
    10: Hold(
        "its input could not be streamed",
        "See that the file it reads as input is there and that the pool's account may read it, then resume it",
    ),
    11: Hold("an error within HTCondor while files were transferred", AGAIN),
    12: Hold(
        "an output file could not be brought back",
        "See that the job writes every file that it is to bring back, and that the pool's account may write to the "
        "job's folder in its workspace, then resume it",
    ),
    13: Hold(
        "an input file could not be sent",
        "See that all its input files are there and that the pool's account may read them, then resume it",
    ),
    14: Hold(
        "its folder (initialdir) cannot be reached",
        f"{WRITABLE} and to its initialdir, then resume it",
    ),
    15: Hold("it was submitted on hold", "Resume it when it shall start"),
    SPOOLING: Hold("its input files are on their way", "Wait until they have arrived"),
    18: Hold("an error within HTCondor while files were transferred", AGAIN),
    19: Hold("a hook of the machine refused it", AGAIN),
    20: Hold(
        "its deferred start was missed",
        "Stop it and run it again with a later deferral_time or a longer deferral_window",
    ),
    21: Hold("the machine held it", f"A rule of the machine's did this: {RULE}"),
    22: Hold("its event log could not be opened", f"{WRITABLE}, where its log lies, then resume it"),
    23: Hold("its account cannot be used", "Ask the pool's administrator whether the job's account is known there"),
    26: Hold("the pool's policy says so", f"A rule of the pool's did this: {RULE}"),
    27: Hold("the pool's policy is undefined", "Have the pool's administrator mend it, then resume it"),
    32: Hold(
        "its input files are larger than allowed",
        "Stop it and run it again with less input, or with a larger max_transfer_input_mb if the pool allows it",
    ),
    33: Hold(
        "its output files are larger than allowed",
        "Stop it and run it again with less to bring back (transfer_output_files), or with a larger "
        "max_transfer_output_mb if the pool allows it",
    ),
    OUT_OF_RESOURCES: Hold(
        "it used more memory or disk than it asked for",
        "Stop it and run it again with a larger request_memory or request_disk",
    ),
    35: Hold(
        "its container image is not valid",
        "See that the image it names is right and can be had from that machine, then stop it and run it again",
    ),
    45: Hold("containers do not work on that machine", AGAIN),
    46: Hold("it took longer than allowed", "Stop it and run it again with a longer allowed_job_duration"),
    47: Hold("it ran longer than allowed", "Stop it and run it again with a longer allowed_execute_duration"),
    48: Hold("a hook of the submit host refused it", AGAIN),
}
"""What HTCondor's codes mean.

https://htcondor.readthedocs.io/en/latest/codes-other-values/hold-reason-codes.html
"""
LACKING: Mapping[int | None, str] = {
    102: "Stop it and run it again with a larger request_memory",
    104: "Stop it and run it again with a larger request_disk",
}
"""The advice for code 34 by its subcodes, as the same table has them."""


def held(ad: Ad) -> str:
    """``Held: <reason> (13/2). <what to do>``, the latter for codes that are known.

    HTCondor's own words come first, and code and subcode, which the manual explains and a support desk asks for. The
    last sentence lacks its full stop: more may follow.
    """
    code, subcode = number(ad, "HoldReasonCode"), number(ad, "HoldReasonSubCode")
    hold = HOLD_CODES.get(code or 0)
    reason = text(ad, "HoldReason").rstrip(" .") or (hold.why if hold else "HTCondor gives no reason")
    numbers = "" if code is None else f" ({code}/{subcode or 0})"
    advice = LACKING.get(subcode, hold.advice) if hold and code == OUT_OF_RESOURCES else hold.advice if hold else ""
    return ". ".join(filter(None, (f"Held: {reason}{numbers}", advice)))


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
