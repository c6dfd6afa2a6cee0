"""What an app can ask of a job. Each command is one short transaction and one message; a worker does the rest."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from jobsapi.dispatch import enqueue
from jobsapi.exceptions import InvalidJob, JobsApiError, NotSupported, TransitionNotAllowed, WaitTimeout
from jobsapi.models.blobs import JobBlob, Purpose
from jobsapi.models.changes import StatusChanges
from jobsapi.models.text import storable
from jobsapi.status import ACTIVE, Status, parse

if TYPE_CHECKING:
    from jobsapi.backends.base import Packed

WISHES = {
    "cancel": (Status.ABORTED, "stop"),
    "hold": (Status.PAUSED, "pause"),
    "release": (Status.RUNNING, "resume"),
}
"""What a job becomes when a wish is fulfilled, and the command that wishes it."""


class Commands(StatusChanges):
    """Execute, stop, pause, resume, resubmit, update, wait."""

    class Meta:
        abstract = True

    @property
    def status(self) -> str:
        """The display name of the status as the row has it now; asks the worker for a refresh when that is due.

        Never waits for a scheduler. Assigning a status is ``update_status(status)``.
        """
        self.update_status()
        return self.cached_status

    @status.setter
    def status(self, value: str) -> None:
        self.update_status(value)

    def execute(self, *args: Any, **kwargs: Any) -> None:
        """Save the job and have it run. Returns when that is recorded, whatever the scheduler is doing.

        What is given here is packed and kept; a worker hands it to the scheduler. Raises ``TransitionNotAllowed`` for a
        job that is not Pending, and a subclass of ``InvalidJob`` for what cannot be run; then nothing is written.
        """
        self.validate()
        self.require_scheduler()
        if self._status not in (Status.PENDING, Status.OTHER) or self.submission_id is not None:
            raise TransitionNotAllowed(
                self._refusal(Status.SUBMITTED, "execute") if self.pk else "This job is not Pending."
            )
        with self._unchanged_on_failure():
            self.absorb({"submission_id": uuid4()})
            packed = self.backend_class().prepare(self, args, kwargs)  # type: ignore[arg-type]  # Job is made of this
            with transaction.atomic():
                self._record_execution(packed)
        self._watch_commit()

    def stop(self) -> None:
        """Have the job stopped. It is Aborted at once if no scheduler was given it, else when the scheduler confirms.

        Asking twice is the same as once. Raises ``TransitionNotAllowed`` when it has ended.
        """
        try:
            self.transition(
                Status.ABORTED,
                by="stop",
                message="Stopped before it was submitted.",
                only=Q(leased_until=None, submit_started_at=None, native_id=""),
            )
        except TransitionNotAllowed:
            self._request("cancel", "Asked to stop.")

    def pause(self) -> None:
        """Have the job held; Paused when the scheduler confirms. Raises ``NotSupported`` if its scheduler cannot."""
        self._require_hold("paused")
        self._request("hold", "Asked to pause.")

    def resume(self) -> None:
        """Have a held job released. Raises ``NotSupported`` if its scheduler cannot."""
        self._require_hold("resumed")
        self._request("release", "Asked to resume.")

    def resubmit(self, *args: Any, **kwargs: Any) -> None:
        """Run a job that has ended again, as a new attempt with the same input; its earlier result is dropped.

        Raises ``TransitionNotAllowed`` while it has not ended, ``NotSupported`` when its input was not kept, and
        ``SchedulerMissing`` when its scheduler was given up.
        """
        if not self.can_run_again:
            raise NotSupported(f"Job {self.pk} cannot be run again: {self.why_not_again}")
        self.require_scheduler()
        with transaction.atomic():
            self._lock()
            self.transition(
                Status.SUBMITTED,
                by="resubmit",
                message="Asked to run again.",
                submission_id=uuid4(),
                attempts=1,
                execute_time=timezone.now(),
                only=Q(deleted_at=None, submission_id__isnull=False) & self.kept_for_another_run(),
            )
            JobBlob.discard(JobBlob.objects.filter(job_id=self.pk, live=True).exclude(purpose=Purpose.INPUT))
            enqueue("submit", self.pk, self.name)
        self._watch_commit()

    def update_status(self, status: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Without an argument: re-read what the worker wrote, and ask it for a refresh of the scheduler if that is due.

        With one: the app sets the status itself, by display name or code; any other text becomes a custom status.
        Raises ``TransitionNotAllowed`` when the job has ended. Never waits for a scheduler. Further arguments are taken
        for the sake of ported apps, and not used.
        """
        if not status:
            self._reread()
            return
        to, label = parse(status)
        if len(label) > 255 or not storable(label):
            raise InvalidJob("A custom status may have at most 255 characters, and no NUL or lone surrogate.")
        if self._state.adding:
            self.save()
        try:
            self._reread_row()
        except self.DoesNotExist:
            raise TransitionNotAllowed(self._refusal(to, "app")) from None
        if (self._status, self.custom_status) == (to, label) and not self.ended:
            return
        ends: dict[str, Any] = {}
        if label in self.TERMINAL_STATUSES:
            ends = {"completion_time": timezone.now(), "requested": ""}
        self.transition(to, by="app", custom_status=label, **ends)

    def process_results(self, *args: Any, **kwargs: Any) -> None:
        """Have a worker fetch and process the results; once more, on the kept raw result, if processing has failed.

        Nothing has to call this after a normal run. Raises ``TransitionNotAllowed`` when there is nothing to process,
        and ``SchedulerMissing`` when its scheduler was given up.
        """
        self.require_scheduler()
        with transaction.atomic():
            self._lock()
            if self._status != Status.RESULTS_READY:
                self.transition(
                    Status.RESULTS_READY,
                    by="process_results",
                    message="Asked to process the results again.",
                    completion_time=None,
                    only=JobBlob.kept(Purpose.RESULT),
                )
            enqueue("fetch_results", self.pk, self.name)

    def wait(self, timeout: float | None = None) -> str:
        """The display name of its status when it has ended; blocks ``timeout`` seconds at most. Not for web requests.

        Raises ``WaitTimeout``, and ``JobsApiError`` inside the transaction that executed it, where it could never end.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.05
        while True:
            self._reread(strict=True)
            if self.ended:
                return self.cached_status
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"Job {self.pk} is {self.cached_status} after {timeout} s{self._what_follows()}")
            time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(pause * 1.5, 2.0)

    def _what_follows(self) -> str:
        if self._status != Status.PAUSED:
            return "; it goes on."
        why = f": {self.status_message.rstrip('.')}." if self.status_message else "."
        return f"{why} It waits until it is resumed."

    async def safe_close(self) -> None:
        """Nothing to close: a job keeps no connection. Here for apps that call it."""

    def _record_execution(self, packed: Packed) -> None:
        submission_id, accepted = self.submission_id, packed.accepted
        never_executed = Q() if self._state.adding else Q(submission_id=None)
        self.save()
        if packed.input is not None:
            JobBlob.store(self, Purpose.INPUT, packed.input)
        changes: dict[str, Any] = {"submission_id": submission_id, "attempts": 1, "execute_time": timezone.now()}
        if accepted is not None:
            changes |= {
                "native_id": accepted.native_id,
                "backend_state": dict(accepted.state),
                "progress_total": accepted.progress_total or 0,
                "cleanup_pending": self.scheduler_type is not None,
            }
        self.transition(Status.SUBMITTED, by="execute", only=never_executed, **changes)
        if accepted is None:
            enqueue("submit", self.pk, self.name)

    def _request(self, wish: str, message: str) -> None:
        """Record what the user wants of a job that its scheduler may have, and wake a worker."""
        with transaction.atomic():
            waiting = self.__class__._base_manager.filter(pk=self.pk, completion_time=None).exclude(
                _status=Status.PENDING
            )
            if wish != "cancel":
                waiting = waiting.exclude(requested="cancel")
            current = waiting.select_for_update().first()
            if current is None:
                raise TransitionNotAllowed(self._refusal(*WISHES[wish]))
            if current.requested == wish:
                return
            waiting.update(requested=wish)
            current.event(wish, message).save()
            self.absorb({"requested": wish})
            enqueue(wish, self.pk, self.name)

    def _lock(self) -> None:
        """Wait for whoever has the row: what a guard asks of other tables is only then as it stays."""
        list(self.__class__._base_manager.select_for_update().filter(pk=self.pk).values_list("pk"))

    def _require_hold(self, done: str) -> None:
        if not self.can_hold:
            raise NotSupported(
                f"A {self.type} cannot be {done}: its scheduler has no such thing. It can be stopped and resubmitted."
            )

    def _reread(self, strict: bool = False) -> None:
        if self._state.adding:
            return
        if getattr(self, "_uncommitted", False) and connection.in_atomic_block:
            sentence = (
                "The transaction that executed this job has not been committed, so no worker can see the job and its "
                "status cannot change."
            )
            if strict:
                raise JobsApiError(f"{sentence} Wait outside of it.")
            warnings.warn(sentence, RuntimeWarning, stacklevel=4)
        self._reread_row()
        if self.scheduler and self.native_id and self._status in ACTIVE | {Status.OTHER} and self.is_time_to_update():
            self.scheduler.request_refresh(self.update_status_interval)

    def _reread_row(self) -> None:
        fresh = self.__class__._base_manager.select_related("scheduler").get(pk=self.pk)
        self.absorb({name: value for name, value in fresh._seen.items() if name not in self.user_columns})
        if self.scheduler_id == fresh.scheduler_id:
            self.scheduler = fresh.scheduler

    def _watch_commit(self) -> None:
        self._uncommitted = True
        transaction.on_commit(self._committed, robust=True)

    def _committed(self) -> None:
        self._uncommitted = False
