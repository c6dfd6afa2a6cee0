"""The run: jobs are submitted from many sides, faults come as planned, and then everybody is given time to end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random

from jobsapi.portal.demo import ROOT
from jobsapi.portal.supervisor import Command, Process
from tests.chaos import points
from tests.chaos.faults import Fault, NotHere
from tests.chaos.ground import Ground, append, lines
from tests.chaos.plan import Plan, Turn
from tests.chaos.stage import Stage

PATIENCE = 120
"""Seconds in which at least one job has to end when all is left alone, on a machine that does other things as well."""
SUBMITTERS = {"http-0": "http", "http-1": "http", "api-0": "api", "api-1": "api"}


@dataclass(frozen=True)
class Injected:
    """A fault that came."""

    fault: str
    began: float
    """Seconds since the campaign began."""
    took: float
    told: list[str]
    under_way: list[int] = field(default_factory=list)
    """The jobs that had been executed and had not ended."""


def died(members: Sequence[Process]) -> bool:
    """Whether one of those who submit and act has ended otherwise than it should: then nobody waits for it."""
    return any(not member.alive and member.exit_status != 0 for member in members)


class Campaign:
    """One run of a plan on a stage."""

    def __init__(self, stage: Stage, plan: Plan, faults: Mapping[str, Fault]) -> None:
        self.stage = stage
        self.plan = plan
        self.faults = faults
        self.injected: list[Injected] = []
        self.not_here: dict[str, str] = {}
        self.broken: list[str] = []
        """What ended otherwise than it should among those who submit and act."""
        self.began = time.monotonic()

    @property
    def ground(self) -> Ground:
        return self.stage.ground

    def run(self) -> bool:
        """Whether all jobs have ended and everything was cleared up in time."""
        jobs = len(self.plan.kinds)
        (self.ground.home / "kinds.json").write_text(json.dumps(self.plan.kinds))
        turns = self.plan.turns
        self.allow(turns[0].after if turns else jobs)
        members = self.members()
        for number, turn in enumerate(turns):
            self.stage.until(lambda turn=turn: self.submitted() >= turn.after or died(members), 300)  # type: ignore[misc]
            self.allow(turns[number + 1].after if number + 1 < len(turns) else jobs)
            if turn.rested:
                self.stage.until(self.stage.is_up, 30)
            self.inject(turn)
        self.allow(jobs)
        self.stage.until(lambda: self.submitted() >= jobs or died(members), 120 + jobs / 2)
        self.tell(f"{self.submitted()} jobs submitted, {len(self.injected)} faults; now all is left alone")
        for name in points.known():
            points.discharge(name)
        settled = self.settles()
        (self.ground.home / "over").touch()
        for member in members:
            self.stage.until(lambda member=member: not member.alive, 30)  # type: ignore[misc]
        self.broken = [member.obituary() for member in members if member.exit_status != 0]
        return settled

    def members(self) -> list[Process]:
        """Those who submit, and who do things to jobs."""
        started = []
        roles = {**SUBMITTERS, "act": "act"}
        for share, (name, role) in enumerate(roles.items()):
            what = [role, name, str(share), str(len(SUBMITTERS)), *(self.stage.sites if role != "api" else ())]
            argv = [sys.executable, "-m", "tests.chaos.members", *what]
            started.append(self.stage.crew.start(Command(name=name, argv=argv, cwd=ROOT)))
        return started

    def allow(self, count: int) -> None:
        """So many jobs may be submitted."""
        draft = self.ground.home / "allowed.draft"
        draft.write_text(str(count))
        draft.rename(self.ground.home / "allowed")

    def submitted(self) -> int:
        """Jobs whose submission somebody was told of, or has seen."""
        return sum(len(lines(path)) for path in self.ground.members.glob("*.taken"))

    def inject(self, turn: Turn) -> None:
        """Have one fault happen, and write down what it was."""
        under_way, began = self.under_way(), time.monotonic()
        self.stage.said = []
        try:
            self.faults[turn.fault].inject(self.stage, Random(turn.seed))
        except NotHere as reason:
            self.not_here[turn.fault] = str(reason)
            return
        done = Injected(turn.fault, began - self.began, time.monotonic() - began, self.stage.said, under_way)
        self.injected.append(done)
        append(self.ground.home / "faults.jsonl", json.dumps(asdict(done)))
        self.tell(
            f"{self.submitted():>5} submitted, {len(under_way):>4} under way: {turn.fault}. {'; '.join(done.told)}"
        )

    def under_way(self) -> list[int]:
        """The jobs of now, as soon as the database tells."""
        from django.db import DatabaseError, connection

        from jobsapi.models import Job

        found: list[int] = []

        def asked() -> bool:
            try:
                found[:] = Job._base_manager.filter(completion_time=None).values_list("pk", flat=True)
            except DatabaseError:
                connection.close()
                return False
            return True

        self.stage.until(asked, 20)
        return found

    def settles(self) -> bool:
        """Whether nobody has anything to do any more, as long as jobs go on to end."""
        left = len(self.under_way()) + 1
        while not self.stage.until(self.settled, PATIENCE):
            before, left = left, len(self.under_way())
            if left >= before:
                return False
        return True

    def settled(self) -> bool:
        """Whether nobody has anything to do any more."""
        from django.db import DatabaseError, connection
        from django.db.models import Q

        from jobsapi.models import Job
        from jobsapi.models.deletion import unsettled

        self.stage.wait(0.5)
        try:
            rows = Job._base_manager.filter(unsettled() | Q(leased_until__isnull=False))
            return not rows.exists() and not self.acting()
        except DatabaseError:
            connection.close()
            return False

    def acting(self) -> bool:
        """Whether some user has still something to do to a job."""
        from jobsapi.models import Job
        from tests.chaos.kinds import Kind, kind_of
        from tests.chaos.views import OVER

        jobs = Job.objects.filter(name__startswith="chaos ")
        return any(type(kind_of(job.name)).act is not Kind.act and OVER not in self.ground.noted(job) for job in jobs)

    def tell(self, text: str) -> None:
        """A line for who watches."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)
