"""The door for apps: create jobs, find them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from jobsapi.exceptions import InvalidJob, UnknownJobType
from jobsapi.shown import shown

if TYPE_CHECKING:
    from django.contrib.auth.models import Group

    from jobsapi.models import Job
    from jobsapi.models.rows import JobQuerySet


class JobManager:
    """The jobs of one app. Touches no database before it is asked for something."""

    def __init__(self, app: Any) -> None:
        """``app``: what has a ``package``, whose name becomes the label of the app's jobs."""
        self.app = app
        self.label: str = app.package

    def create_job(
        self,
        name: str,
        user: Any,
        groups: Group | Iterable[Group] | None = None,
        job_type: str | type[Job] | None = None,
        **kwargs: Any,
    ) -> Job:
        """A new job, Pending. Not saved before ``save()`` or ``execute()``, unless ``groups`` are given.

        ``{id}`` in ``name`` becomes the job's number. ``job_type``: a name ("BASIC", "DASK"), the name of a class, or a
        class. All other arguments are attributes of that type. Without a ``workspace`` the job gets the user's folder
        under the app's. Raises ``UnknownJobType``; a subclass of ``InvalidJob`` that says what to change; ``TypeError``
        for an unknown attribute.
        """
        from jobsapi.models.workspace import user_workspace

        cls = self._job_class(job_type)
        if getattr(user, "pk", None) is None:
            raise InvalidJob(
                "A job needs a user who is logged in and saved: pass request.user of a view that requires login."
            )
        kwargs.setdefault("workspace", user_workspace(self.label, user))
        job = cls(name=name, user=user, label=self.label, **kwargs)
        job.validate()
        if groups is not None:
            with transaction.atomic():
                job.save()
                job.groups.set(_as_list(groups))
        return job

    def list_jobs(
        self,
        user: Any = None,
        groups: Group | Iterable[Group] | None = None,
        order_by: str = "id",
        filters: Mapping[str, Any] | None = None,
    ) -> JobQuerySet:
        """The app's jobs, each of its own class: a lazy queryset, one query without a join.

        ``user``: only this user's. ``groups``: only those shared with this group or any of these; not together with
        ``user`` (``ValueError``). ``filters``: further lookups, as for ``filter()``.
        """
        if user is not None and groups is not None:
            raise ValueError("list_jobs() takes a user or groups, not both.")
        recipe: dict[str, Any] = {"label": self.label, "filters": dict(filters or {}), "order_by": order_by}
        if user is not None:
            recipe["user"] = user.pk if hasattr(user, "pk") else user
        if groups is not None:
            recipe["groups"] = [group.pk if hasattr(group, "pk") else group for group in _as_list(groups)]
        return follow(recipe)

    def get_job(self, job_id: int, user: Any = None, filters: Mapping[str, Any] | None = None) -> Job | None:
        """The app's job of this number, or None if there is none, or it is not ``user``'s."""
        return self.list_jobs(user=user, filters=filters).filter(pk=job_id).first()

    def get_job_status_callback_url(self, request: HttpRequest, job_id: int) -> str:
        """The absolute address that asks for a refresh of the job's status when it is called."""
        return request.build_absolute_uri(reverse("jobsapi:update-job-status", args=[job_id]))

    @staticmethod
    def _job_class(job_type: str | type[Job] | None) -> type[Job]:
        from jobsapi.models import Job

        if isinstance(job_type, type) and issubclass(job_type, Job) and job_type is not Job:
            return job_type
        for cls in Job.registry.values():
            if job_type and job_type in (cls.__name__, cls.job_type, *cls.aliases):
                return cls
        names = sorted(cls.job_type or kind for kind, cls in Job.registry.items())
        raise UnknownJobType(
            f"There is no job type {shown(job_type)}. Choose one of {', '.join(names)}, or a subclass of Job."
        )


def follow(recipe: Mapping[str, Any]) -> JobQuerySet:
    """The jobs that a recipe names, which they carry with them if it can be written down: see ``JobQuerySet.recipe``.

    Its keys, all of them optional: ``label``, ``user`` and ``groups`` by number, ``filters``, ``order_by``.
    """
    from jobsapi.models import Job

    jobs: JobQuerySet = Job.objects.filter(**(recipe.get("filters") or {}))
    if "label" in recipe:
        jobs = jobs.filter(label=recipe["label"])
    if "user" in recipe:
        jobs = jobs.filter(user=recipe["user"])
    if "groups" in recipe:
        shared = Job.groups.through.objects.filter(group__in=recipe["groups"])
        jobs = jobs.filter(pk__in=shared.values("job"))
    jobs = jobs.order_by(recipe.get("order_by", "id"))
    jobs.recipe = _written_down(recipe)
    return jobs


def _written_down(recipe: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        written: dict[str, Any] = json.loads(json.dumps(recipe))
    except (TypeError, ValueError):  # a filter by a date, by a row
        return None
    return written


def _as_list(groups: Group | Iterable[Group]) -> list[Group]:
    return list(groups) if isinstance(groups, Iterable) else [groups]
