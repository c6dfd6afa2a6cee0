"""What may be stored: a job is checked at the door, and a bad one loses nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from jobsapi.exceptions import InvalidJob, SchedulerMissing
from jobsapi.models.columns import JobColumns
from jobsapi.models.text import clean, storable
from jobsapi.models.workspace import inside_root
from jobsapi.shown import shown
from jobsapi.status import TERMINAL, Status

PRIORITY_MOST = 2**31 - 1
"""What a column of a database has room for."""


class StoredJob(JobColumns):
    """``validate``, ``save`` and ``delete``."""

    class Meta:
        abstract = True

    def validate(self) -> None:
        """Raises a subclass of ``InvalidJob`` when the job could not be stored or run as it is described."""
        if isinstance(self.workspace, os.PathLike):
            self.workspace = os.fspath(self.workspace)
        for column in ("description", "workspace", "_process_results_function"):
            if getattr(self, column) is None:
                setattr(self, column, "")
            self._check_text(column)
        self._check_text("name")
        if not self.name.strip():
            raise InvalidJob("A job needs a name.")
        whole = isinstance(self.priority, int) and not isinstance(self.priority, bool)
        if not whole or abs(self.priority) > PRIORITY_MOST:
            raise InvalidJob(
                f"priority must be a whole number from -{PRIORITY_MOST:,} to {PRIORITY_MOST:,}; it is "
                f"{shown(self.priority)}."
            )
        if self.extended_properties is None:
            self.extended_properties = {}
        self._check_json("extended_properties", "extended_properties")
        self._check_json("spec", "attributes")
        if self.workspace and (self._state.adding or self.workspace != self._seen.get("workspace")):
            self.workspace = str(inside_root(self.workspace))
            self._check_text("workspace")
        if self._process_results_function:
            self.resolve_function(self._process_results_function)
        if self.scheduler is not None:
            self.check_scheduler()

    def check_scheduler(self) -> None:
        """Raises ``SchedulerMissing`` unless the job has a saved scheduler of the kind that it needs."""
        wanted, given = self.scheduler_type, self.scheduler
        if wanted is None:
            return
        if given is None:
            raise SchedulerMissing(
                f"A {self.type} needs a {wanted.__name__}: create_job(..., scheduler=app.get_scheduler(<setting>))."
            )
        if given.pk is None:
            raise SchedulerMissing(f"The scheduler “{given.name}” is not saved yet: call its save() first.")
        if not isinstance(given, wanted):
            raise SchedulerMissing(
                f"A {self.type} needs a {wanted.__name__}; “{given.name}” is a {given.__class__.__name__}."
            )

    def require_scheduler(self) -> None:
        """Raises ``SchedulerMissing`` unless the job has what ``check_scheduler`` wants, and it was not given up."""
        self.check_scheduler()
        if self.scheduler is not None and self.scheduler.given_up_at is not None:
            raise SchedulerMissing(
                f"The scheduler “{self.scheduler}” was given up, as gone for good. Create the job anew for another one."
            )

    def ensure_workspace(self) -> Path:
        """The job's workspace as a folder, made if it is not there yet."""
        folder = inside_root(self.workspace)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self, **kwargs: Any) -> None:
        """Store the job, or what the app changed of it.

        Raises ``InvalidJob`` or ``WorkerOwned``, and then nothing is written.
        """
        self.validate()
        if not self._state.adding:
            if self._seen.get("scheduler_id", self.scheduler_id) == self.scheduler_id:
                super().save(**kwargs)
                return
            with transaction.atomic():
                self._require_pending_row()
                super().save(**kwargs)
            return
        with self._unchanged_on_failure(), transaction.atomic():
            if self._status in TERMINAL and self.completion_time is None:
                self.completion_time = timezone.now()
            super().save(**kwargs)
            if "{id}" in self.name:
                self.name = self.name.replace("{id}", str(self.pk))
                self._check_text("name")
                super().save(update_fields=["name"])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Hide the job at once; a worker stops it at its scheduler, removes what lies there, then the row."""
        deleted: tuple[int, dict[str, int]] = self.__class__._default_manager.filter(pk=self.pk).delete()
        return deleted

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Have this instance show what it showed before, if the block fails: nothing was written then."""
        columns = [field.attname for field in self._meta.concrete_fields]
        before = {name: self.__dict__[name] for name in columns if name in self.__dict__}
        adding, seen = self._state.adding, dict(self.__dict__.get("_seen", {}))
        try:
            yield
        except BaseException:
            self.__dict__.update(before)
            self._state.adding, self._seen = adding, seen
            self._show_custom_status()
            raise

    def _require_pending_row(self) -> None:
        """Raises ``InvalidJob`` if the job was executed, as the row says now: this instance may be stale."""
        executed = self.__class__._base_manager.select_for_update().filter(pk=self.pk).exclude(_status=Status.PENDING)
        if executed.values_list("pk").first():
            raise InvalidJob("A job that was executed stays with its scheduler. Make a new job for the other one.")

    def _check_text(self, column: str) -> None:
        field = self._meta.get_field(column)
        assert isinstance(field, models.CharField)
        limit, value = field.max_length or 0, getattr(self, column)
        if not isinstance(value, str) or len(value) > limit or not storable(value):
            raise InvalidJob(
                f"{column.strip('_')} must be text of at most {limit:,} characters without NUL or lone surrogates; "
                f"it is {len(value):,} characters long: {clean(value, 60)!r}."
                if isinstance(value, str)
                else f"{column.strip('_')} must be text; it is a {value.__class__.__name__}."
            )

    def _check_json(self, column: str, name: str) -> None:
        value = getattr(self, column)
        if not isinstance(value, dict):
            raise InvalidJob(f"{name} must be a dict; it is a {value.__class__.__name__}.")
        try:
            text = json.dumps(value, allow_nan=False, ensure_ascii=False)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidJob(f"{name} must be JSON: {error}. Convert the value first.") from error
        if "\\u0000" in text.replace("\\\\", ""):
            raise InvalidJob(f"{name} must not contain the character NUL, which databases refuse.")
