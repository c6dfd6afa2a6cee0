"""A scheduler is put to the test by a worker, for an administrator who looks on. Each step is written as it comes."""

from __future__ import annotations

import logging
import time
import traceback
from contextlib import closing
from dataclasses import replace

from django.utils import timezone

from jobsapi import conf, steps
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

    What they say of the scheduler counts as any other call does: one that answers has its breaker closed.
    """
    began, trial = timezone.now(), Trial(scheduler, held)
    if not held.confirm(check_requested_at=None, checked_at=began):
        return
    failure = trial.run()
    if isinstance(failure, BackendUnavailable):
        record_failure(scheduler, failure, began)
    elif failure is None or isinstance(failure, BackendError):
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
        self.began = time.monotonic()

    def run(self) -> Exception | None:
        """Take the steps. Returns what ended them before the last one, if anything did."""
        try:
            failure = self._steps()
        except BackendUnavailable as error:  # a row that makes no sense: there is no step to take
            self.done.append(StepReport("Connection", Outcome.BAD, clean(str(error))))
            failure = error
        self._write(self.done, over=True)
        return failure

    def _steps(self) -> Exception | None:
        backend = conf.backend_class(self.scheduler.backend)
        with closing(backend(self.scheduler).check()) as check:  # type: ignore[type-var]
            for step in check:
                self._write([*self.done, StepReport(step.title)])
                if (failure := self._take(step)) is not None:
                    return failure
        return None

    def _take(self, step: Step) -> Exception | None:
        """Take a step, and note what it has found. Returns what it has raised."""
        began = time.monotonic()
        try:
            found = step.run()
        except BackendError as error:
            detail = clean(getattr(error, "detail", ""), DETAIL_LIMIT)
            self._note(StepReport(step.title, Outcome.BAD, clean(str(error)), detail), began)
            return error
        except Exception as error:
            logger.exception("The test of %s failed", self.scheduler)
            message, detail = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
            self._note(StepReport(step.title, Outcome.BAD, clean(message), clean(detail, DETAIL_LIMIT)), began)
            return error
        self.capacity = self.capacity if found.capacity is None else found.capacity
        self._note(StepReport(step.title, found.outcome, clean(found.message), "", found.facts), began)
        return None

    def _note(self, report: StepReport, began: float) -> None:
        self.done.append(replace(report, seconds=round(time.monotonic() - began, 3)))

    def _write(self, steps: list[StepReport], *, over: bool = False) -> None:
        seconds = round(time.monotonic() - self.began, 3)
        report = kept(steps, over=over, seconds=seconds, capacity=self.capacity)
        self.held.confirm(check_report=clean_json(report))
