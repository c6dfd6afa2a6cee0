"""A scheduler is put to the test by a worker, for an administrator who looks on. Each step is written as it comes."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, cast

from jobsapi import clock, conf, steps
from jobsapi.backends.base import Outcome, Step
from jobsapi.exceptions import BackendError, BackendUnavailable
from jobsapi.lease import Lease
from jobsapi.models import Scheduler
from jobsapi.models.reports import StepReport, kept
from jobsapi.models.text import DETAIL_LIMIT, clean, clean_json
from jobsapi.reach import REACHABLE, record_failure

logger = logging.getLogger(__name__)


def put_to_the_test(scheduler: Scheduler, held: Lease) -> None:
    """Take the steps of its backend until one fails, for the row that ``held`` holds.

    What they say of the scheduler counts as any other call does: one that answers has its breaker closed. A test whose
    lease was taken back (its settings were changed meanwhile) ends at its next step, and leaves no word.
    """
    began, trial = clock.now(), Trial(scheduler, held)
    if not held.confirm(check_requested_at=None, checked_at=began, check_report=trial.report()):
        return
    trial.run()
    if not held.confirm(check_report=trial.report(over=True)):
        return
    if isinstance(trial.failure, BackendUnavailable):
        record_failure(scheduler, trial.failure, began)
    elif trial.answered:
        was_away = scheduler.failures
        Scheduler.objects.filter(pk=scheduler.pk).update(**REACHABLE)
        if was_away:
            steps.go_on(scheduler)


class Trial:
    """A test that is under way, and what it has found so far."""

    def __init__(self, scheduler: Scheduler, held: Lease) -> None:
        self.scheduler = scheduler
        self.held = held
        self.done: list[StepReport] = []
        self.capacity: int | None = None
        self.failure: Exception | None = None
        """What has ended it before its last step."""
        self.answered = False
        """Whether the scheduler has answered to the end, be it with a refusal."""
        self.began = time.monotonic()

    def run(self) -> None:
        """Take the steps. Whatever goes wrong is a finding."""
        with self._told(""):  # between two steps: a credential that cannot be opened, a row that makes no sense
            self.answered = self._steps()

    def report(self, *under_way: StepReport, over: bool = False) -> dict[str, Any]:
        """What is known so far, and the step that is ``under_way``, as the row keeps it."""
        seconds = round(time.monotonic() - self.began, 3)
        report = kept([*self.done, *under_way], over=over, seconds=seconds, capacity=self.capacity)
        return cast(dict[str, Any], clean_json(report))

    def _steps(self) -> bool:
        """Take them until one fails. Returns whether the scheduler has answered."""
        backend = conf.backend_class(self.scheduler.backend)
        with closing(backend(self.scheduler).check()) as check:  # type: ignore[type-var]
            for step in check:
                if not self.held.confirm(check_report=self.report(StepReport(step.title))):
                    return False
                self._take(step)
                if self.failure is not None:
                    return isinstance(self.failure, BackendError)
        return True

    def _take(self, step: Step) -> None:
        """Take a step, and note what it has found."""
        began = time.monotonic()
        with self._told(step.title):
            found = step.run()
            self.capacity = self.capacity if found.capacity is None else found.capacity
            self._note(StepReport(step.title, found.outcome, clean(found.message), "", found.facts), began)

    @contextmanager
    def _told(self, title: str) -> Iterator[None]:
        """Note what is raised within, and go on: in its own words if these are for users, else with a traceback."""
        began = time.monotonic()
        try:
            yield
        except BackendError as error:
            self._fail(title, error, str(error), getattr(error, "detail", ""), began)
        except Exception as error:
            logger.exception("The test of %s failed", self.scheduler)
            detail = "".join(traceback.format_exception(error))
            self._fail(title, error, f"{type(error).__name__}: {error}", detail, began)

    def _fail(self, title: str, error: Exception, message: str, detail: str, began: float) -> None:
        self.failure = self.failure or error
        title = title or ("The test itself" if self.done else "Connection")
        self._note(StepReport(title, Outcome.BAD, clean(message), clean(detail, DETAIL_LIMIT)), began)

    def _note(self, report: StepReport, began: float) -> None:
        self.done.append(replace(report, seconds=round(time.monotonic() - began, 3)))
