"""Gives the points of ``tests.chaos.points`` to a process of the portal. The product knows nothing of them."""

from __future__ import annotations

import functools
import re
from contextlib import ExitStack
from typing import Any

from celery.signals import task_postrun, task_prerun
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tests.chaos.points import around, doing

COMMANDS = ("execute", "stop", "pause", "resume", "resubmit", "process_results", "delete")
FILES = ("take", "delete", "delete_folder")
OURS = re.compile(r'^(INSERT INTO|UPDATE|DELETE FROM) "jobsapi_(\w+)"')
WRITTEN = {"INSERT INTO": "insert", "UPDATE": "update", "DELETE FROM": "delete"}


def wrap_all() -> None:
    """Called once, when Django has its apps."""
    from jobsapi import storage
    from jobsapi.models import Job
    from jobsapi.models.rows import JobQuerySet

    name_tasks()
    for verb in COMMANDS:
        setattr(Job, verb, named(verb, getattr(Job, verb)))
    JobQuerySet.delete = named("delete", JobQuerySet.delete)  # type: ignore[method-assign]
    for name in FILES:
        setattr(storage, name, pointed(f"storage {name}", getattr(storage, name)))
    wrap_database()


def name_tasks() -> None:
    """The points of a task are those of its verb: ``jobsapi.submit`` is ``submit``."""
    running: dict[str, ExitStack] = {}

    def begins(task_id: str, task: Any, **kwargs: Any) -> None:
        running[task_id] = stack = ExitStack()
        stack.enter_context(doing(task.name.rpartition(".")[2]))

    def ends(task_id: str, **kwargs: Any) -> None:
        if stack := running.pop(task_id, None):
            stack.close()

    task_prerun.connect(begins, weak=False)
    task_postrun.connect(ends, weak=False)


def named(verb: str, function: Any) -> Any:
    """``function``, whose points are those of ``verb``."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with doing(verb):
            return function(*args, **kwargs)

    return wrapped


def pointed(effect: str, function: Any) -> Any:
    """``function``, between two points."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with around(effect):
            return function(*args, **kwargs)

    return wrapped


def wrap_database() -> None:
    """Points around each commit of a transaction, before what waits for it is sent, and each write without one."""
    BaseDatabaseWrapper._commit = pointed("commit", BaseDatabaseWrapper._commit)  # type: ignore[attr-defined]

    def connected(connection: Any, **kwargs: Any) -> None:
        if write not in connection.execute_wrappers:
            connection.execute_wrappers.append(write)

    connection_created.connect(connected, weak=False)


def write(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Runs one statement; points are around it if it writes a table of ours at once."""
    found = None if context["connection"].in_atomic_block else OURS.match(sql)
    if found is None:
        return execute(sql, params, many, context)
    with around(f"{WRITTEN[found[1]]} of {found[2]}"):
        return execute(sql, params, many, context)
