"""A job whose work the app does itself."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from jobsapi.models.job import Job
from jobsapi.status import Status


class BasicJob(Job):
    """Work that the app does by itself, shown among the other jobs.

    After ``execute()`` the app says how it goes: ``job.update_status("Running")``, ``job.update_status("Complete")``.
    Nothing here needs a worker.
    """

    job_type, backend = "BASIC", "basic"
    can_hold = True

    class Meta:
        proxy = True

    def stop(self) -> None:
        """Record that it was stopped. The app's own code has to look at the status and stop."""
        self.transition(Status.ABORTED, by="app", message="Stopped.")

    def pause(self) -> None:
        """Record that it is paused. The app's own code has to look at the status and pause."""
        self.transition(Status.PAUSED, by="app", message="Paused.")

    def resume(self) -> None:
        """Record that it runs again."""
        self.transition(Status.RUNNING, by="app")

    def resubmit(self) -> None:
        """Make it Submitted once more, as a new attempt."""
        accepted = {"native_id": str(self.uid)}
        with transaction.atomic():
            super().resubmit()
            self.__class__._base_manager.filter(pk=self.pk).update(**accepted)
        self.absorb(accepted)

    def process_results(self, *args: Any, **kwargs: Any) -> None:
        """The results are the app's own: this records that it is Complete."""
        self.update_status(Status.COMPLETE.label)
