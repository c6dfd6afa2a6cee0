"""What a test of a scheduler has found, as its row keeps it and as pages show it. Pure: no query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils import timezone


class Stage(StrEnum):
    """How far a test has come."""

    NEVER = "never tested"
    WAITING = "waiting for a worker"
    """Asked for, and no worker has begun it."""
    UNDER_WAY = "under way"
    INTERRUPTED = "interrupted"
    """Its worker was stopped before it had ended."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class StepReport:
    """What came of one step."""

    title: str
    outcome: str = ""
    """An ``Outcome`` of ``jobsapi.backends.base``; empty while the step is under way."""
    message: str = ""
    detail: str = ""
    """More than a few sentences: a traceback."""
    facts: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A test, as far as it has come."""

    stage: Stage
    steps: Sequence[StepReport] = ()
    seconds: float = 0.0
    """How long all of it took."""
    capacity: int | None = None
    """Threads or slots that there were for jobs; None when it did not come so far."""

    @classmethod
    def of(cls, kept: Mapping[str, Any], requested_at: datetime | None, leased_until: datetime | None) -> Report:
        """From what the columns of a scheduler hold. A new request stands before an old report."""
        if requested_at is not None:
            return cls(Stage.WAITING)
        if not kept:
            return cls(Stage.NEVER)
        held = leased_until is not None and leased_until > timezone.now()
        stage = Stage.OVER if kept["over"] else Stage.UNDER_WAY if held else Stage.INTERRUPTED
        return cls(stage, [StepReport(**step) for step in kept["steps"]], kept["seconds"], kept["capacity"])

    @property
    def is_live(self) -> bool:
        """Whether more is to come by itself."""
        return self.stage in (Stage.WAITING, Stage.UNDER_WAY)

    @property
    def outcome(self) -> str:
        """The worst of all steps; empty unless it is over."""
        found = {step.outcome for step in self.steps} if self.stage == Stage.OVER else set()
        return next((outcome for outcome in ("bad", "doubtful", "good") if outcome in found), "")

    @property
    def words(self) -> str:
        """The report in a line, for a list."""
        if self.stage != Stage.OVER:
            return self.stage.value
        worst = next((step.title for step in self.steps if step.outcome == self.outcome), "")
        return {"bad": f"failed at “{worst}”", "doubtful": f"look at “{worst}”"}.get(self.outcome, "well")


def kept(steps: Sequence[StepReport], *, over: bool, seconds: float, capacity: int | None) -> dict[str, Any]:
    """A report as the row keeps it."""
    return {"steps": [asdict(step) for step in steps], "over": over, "seconds": seconds, "capacity": capacity}
