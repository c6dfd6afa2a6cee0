"""What a job says of itself, kept beside what its scheduler says: the one never writes over the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import models
from django.urls import reverse

from jobsapi import clock, conf, sealing
from jobsapi.exceptions import InvalidJob, TransitionNotAllowed
from jobsapi.models.progress import Ignored, Report, entry_of, merged

if TYPE_CHECKING:
    from jobsapi.models.schedulers import Scheduler

TRIES = 3
"""How often a report is merged into what others have reported meanwhile."""
SOON = timedelta(seconds=1)
"""The least time between two refreshes of a scheduler that jobs ask for which say, for the first time, that they have
ended. For their parts, of which there may be many, it is ``REFRESH_INTERVAL``."""
CLAIMED = {
    "done": "The job says that it is done; its scheduler is asked.",
    "failed": "The job says that it has failed; its scheduler is asked.",
}
"""What the history says of an end that a job claims."""


class ReportsItself(models.Model):
    """The columns of a job's own reports, and what a program needs to send some. They change no status."""

    uid: Any
    submission_id: UUID | None
    scheduler: Scheduler | None

    reported = models.JSONField(default=dict, blank=True, editable=False)
    """What this attempt has said of itself: see ``jobsapi.models.progress``."""
    reported_at = models.DateTimeField(null=True, editable=False)
    """When that was written last."""

    class Meta:
        abstract = True

    @property
    def report_token(self) -> str:
        """What a program has to show to report how far this attempt of the job is, for ``REPORT_TOKEN_DAYS`` days.

        It is good for nothing else, and for no other job or attempt. Raises ``InvalidJob`` before the job was executed.
        """
        if self.submission_id is None:
            raise InvalidJob("A job that was not executed has no token yet: it is made for one attempt.")
        return sealing.report_token(self.uid, self.submission_id)

    @property
    def report_url(self) -> str:
        """Where a program sends its reports to, below ``JOBSAPI["PUBLIC_URL"]``.

        Raises ``InvalidJob`` when that is not set, or the job was not saved.
        """
        if self.pk is None:
            raise InvalidJob("A job that was not saved has no address yet.")
        return _public_url() + reverse("jobsapi:report-job-status", args=[self.pk])

    @staticmethod
    def require_reporting() -> None:
        """Raises ``InvalidJob`` when jobs cannot report, since nobody has set ``JOBSAPI["PUBLIC_URL"]``."""
        _public_url()

    def take_report(self, report: Report) -> Ignored | None:
        """Keep what the job says of itself, by one guarded UPDATE; why it was not kept, if it was not.

        An end that it claims makes its scheduler be asked, once. Raises ``TransitionNotAllowed`` when this attempt is
        over.
        """
        for _ in range(TRIES):
            now = clock.now()
            before = self.reported
            entries = merged(before, self.reported_at, report, now)
            if isinstance(entries, Ignored):
                return entries
            if self._keep(entries, now):
                if report.claim and not entry_of(before, report.part).get("claim"):
                    self._have_it_looked_at(report)
                return None
            self._read_reports()
        return Ignored.SOON

    def _keep(self, entries: Mapping[str, Any], now: datetime) -> bool:
        seen = {"reported": entries, "reported_at": now}
        rows = self._of_this_attempt().filter(reported_at=self.reported_at)
        if not rows.update(**seen):
            return False
        claim, had_claimed = entries.get("job", {}).get("claim"), self.reported.get("job", {}).get("claim")
        self.absorb(seen)  # type: ignore[attr-defined]
        if claim and not had_claimed:
            self.event("job", CLAIMED[claim]).save()  # type: ignore[attr-defined]
        return True

    def _read_reports(self) -> None:
        found = self._of_this_attempt().values("reported", "reported_at").first()
        if found is None:
            raise TransitionNotAllowed("This attempt of the job is over: what it reports is not taken any more.")
        self.absorb(found)  # type: ignore[attr-defined]

    def _of_this_attempt(self) -> models.QuerySet[Any]:
        rows: Any = self.__class__._base_manager
        return rows.filter(pk=self.pk, submission_id=self.submission_id, completion_time=None, deleted_at=None)  # type: ignore[no-any-return]

    def _have_it_looked_at(self, report: Report) -> None:
        if self.scheduler is not None and self.scheduler.given_up_at is None:
            interval = timedelta(seconds=conf.get("REFRESH_INTERVAL"))
            self.scheduler.request_refresh(interval if report.part else SOON)


def _public_url() -> str:
    """The address of this site as jobs reach it. Raises ``InvalidJob`` when nobody has set it."""
    address: str = conf.get("PUBLIC_URL")
    if not address:
        raise InvalidJob(
            "A job can report how far it is only to a portal whose address it knows. Ask an administrator to set "
            'JOBSAPI["PUBLIC_URL"] (of the portal: JOBSAPI_PUBLIC_URL), as "https://jobs.example.org".'
        )
    return address.rstrip("/")
