"""What a verdict finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Wrong(StrEnum):
    """The promises that can be broken. They are the table's columns."""

    LOST = "lost"
    DOUBLED = "doubled"
    STATE = "wrong state"
    LEFT = "left over"


@dataclass(frozen=True)
class Case:
    """One broken promise."""

    wrong: Wrong
    text: str
    job: int | None = None
    """The job's number in the database, if it is about one."""
