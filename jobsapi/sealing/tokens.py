"""Tokens by which the programs of a job show that they speak for it: signed, good for one attempt and for some days."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.core.signing import BadSignature, TimestampSigner

from jobsapi.sealing.keys import derived, keys

LONGEST = 200
"""Characters that are looked at: a token has far fewer."""


def report_token(uid: UUID, attempt: UUID) -> str:
    """A token for this attempt of this job, from now on."""
    return _signer().sign(f"{uid.hex}{attempt.hex}")


def attempt_of(token: str, lifetime: timedelta) -> tuple[UUID, UUID] | None:
    """The job and the attempt that a token is for. None if it is none of ours, or older than ``lifetime``."""
    try:
        said = _signer().unsign(token, max_age=lifetime) if len(token) <= LONGEST else ""
        return (UUID(said[:32]), UUID(said[32:])) if said else None
    except (BadSignature, ValueError):
        return None


def _signer() -> TimestampSigner:
    newest, *older = (derived(key, "report") for key in keys())
    return TimestampSigner(key=newest, fallback_keys=[*older], sep=".", salt="jobsapi.report")
