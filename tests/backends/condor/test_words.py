"""Why a job is held, and what its user can do."""

from __future__ import annotations

from typing import Any

import pytest

from jobsapi.backends.condor import words


def ad(code: int | None, subcode: int = 0, reason: str | None = "Error from slot1@node7: no") -> dict[str, Any]:
    return {"HoldReasonCode": code, "HoldReasonSubCode": subcode, "HoldReason": reason}


@pytest.mark.parametrize(
    ("code", "subcode", "advice"),
    [
        (1, 0, "Resume it when it shall go on"),
        (3, 0, "its periodic_hold or on_exit_hold"),
        (6, 2, "names in its first line an interpreter that the machine has"),
        (7, 13, "the pool's account may write to the job's folder in its workspace"),
        (9, 0, "the pool's account may write to the job's folder in its workspace"),
        (12, 2, "writes every file that it is to bring back"),
        (13, 2, "all its input files are there"),
        (14, 2, "its initialdir"),
        (21, 0, "A rule of the machine's did this"),
        (26, 0, "A rule of the pool's did this"),
        (34, 0, "a larger request_memory or request_disk"),
        (34, 102, "a larger request_memory"),
        (34, 104, "a larger request_disk"),
        (35, 0, "the image it names"),
        (45, 0, "ask the pool's administrator"),
        (46, 0, "allowed_job_duration"),
        (47, 0, "allowed_execute_duration"),
    ],
)
def test_a_hold_says_first_what_htcondor_says_and_then_what_to_do(code: int, subcode: int, advice: str) -> None:
    said, _, then = words.held(ad(code, subcode)).partition(f" ({code}/{subcode}). ")
    assert said == "Held: Error from slot1@node7: no"
    assert advice in then
    assert then[0].isupper()
    assert not then.endswith(".")


def test_memory_and_disk_are_told_apart() -> None:
    assert "request_disk" not in words.held(ad(34, 102))
    assert "request_memory" not in words.held(ad(34, 104))
    assert "request_memory" not in words.held(ad(12, 102))


def test_a_code_that_nobody_knows_gets_no_advice() -> None:
    assert words.held(ad(4711, 1)) == "Held: Error from slot1@node7: no (4711/1)"
    assert words.held(ad(None)) == "Held: Error from slot1@node7: no"
    assert words.held(ad(None, reason=None)) == "Held: HTCondor gives no reason"


def test_every_known_code_has_one_sentence() -> None:
    for code, hold in words.HOLD_CODES.items():
        assert hold.why[0].islower(), code
        assert ". " not in hold.advice, code
        assert len(hold.advice) < 220, code
