"""What can be done with a job from a table: the built-in actions, and those that an app adds.

The browser names an action by its place in the list that the app gave; a callable is never looked up by a name of the
browser's.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, Self

from django.core.cache import cache
from django.urls import NoReverseMatch, reverse

from jobsapi.manager import JobManager
from jobsapi.models import CondorJob, CondorWorkflow, DaskJob, Job
from jobsapi.web.job import again
from jobsapi.web.rows import Row, can_run_again

logger = logging.getLogger(__name__)

DIVIDER = "|"


class Unresolved(Exception):
    """Raised when what a table was made with is not there any more: the code has changed since."""


@dataclass(frozen=True)
class BuiltIn:
    """An action that every table can have."""

    label: str
    command: str = ""
    """The method of the job that does it; empty for a page that is gone to."""
    view: str = ""
    """The page, by the name of its address."""
    possible: Callable[[Row], bool] = lambda row: True
    """Whether it can be done now."""
    suits: Callable[[Job], bool] = lambda job: True
    """Whether such a job can do it at all."""
    hint: str = ""
    """Why it cannot be done now."""
    asks: Callable[[Job], str] = lambda job: ""
    """What is asked before it is done; empty for what is done at once."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the method is given."""


BUILT_IN: Mapping[str, BuiltIn] = {
    "run": BuiltIn(
        "Run",
        command="execute",
        possible=lambda row: row.can_run,
        suits=lambda job: job.executes_alone,
        hint="Only a job that is Pending can be run.",
    ),
    "pause": BuiltIn(
        "Pause",
        command="pause",
        possible=lambda row: row.can_pause,
        suits=lambda job: job.can_hold,
        hint="Only a job that is running can be paused.",
    ),
    "resume": BuiltIn(
        "Resume",
        command="resume",
        possible=lambda row: row.can_resume,
        suits=lambda job: job.can_hold,
        hint="Only a job that is paused can be resumed.",
    ),
    "resubmit": BuiltIn(
        "Run again",
        command="resubmit",
        possible=lambda row: row.can_run_again,
        suits=lambda job: not _is_made_from_future(job),
        hint="Only a job that has ended can be run again.",
        asks=again.question,
    ),
    "resubmit-all": BuiltIn(
        "Run all nodes again",
        command="resubmit",
        options={"from_start": True},
        possible=lambda row: row.can_run_again,
        suits=again.may_have_done_nodes,
        hint="Only a job that has ended can be run again.",
        asks=again.question_from_start,
    ),
    "logs": BuiltIn(
        "Logs",
        view="jobsapi:job-logs",
        possible=lambda row: row.executed_at is not None,
        hint="It has not been run yet.",
    ),
    "parts": BuiltIn("Parts", view="jobsapi:job-parts", suits=lambda job: isinstance(job, CondorJob | CondorWorkflow)),
    "monitor": BuiltIn("Monitor", possible=lambda row: row.is_running, hint="It is not running."),
    "results": BuiltIn("Result", possible=lambda row: row.has_result, hint="There is no result yet."),
    "terminate": BuiltIn(
        "Stop",
        command="stop",
        possible=lambda row: row.can_stop,
        hint="Only a job that is under way, and not being stopped already, can be stopped.",
        asks=lambda job: f"Stop “{job.name}”? What it has done so far may be lost.",
    ),
    "delete": BuiltIn(
        "Delete",
        command="delete",
        possible=lambda row: row.can_delete,
        hint="Stop it first: only a job that is not under way can be deleted.",
        asks=lambda job: f"Delete “{job.name}” and its result? This cannot be undone.",
    ),
}
"""By the names that ``JobsTable(actions=[...])`` takes. ``monitor`` and ``results`` lead where the app says."""

DEFAULT = ("run", "resubmit", "resubmit-all", DIVIDER, "logs", "monitor", "results", DIVIDER, "terminate", "delete")


def _is_made_from_future(job: Job) -> bool:
    return isinstance(job, DaskJob) and not can_run_again(job)


@dataclass(frozen=True)
class CustomJobAction:
    """An action of the app's own, in the menu of each job.

    ``callback_or_url``: a function that can be imported (of a module, or a static method), called as ``callback(job)``
    or ``callback(request, job)`` after everything has been checked again; or the name of an address that takes the
    number of the job. The function returns a text to be shown, a redirect or another response, or None.
    ``enabled_callback(job, job_status)``: whether it can be done now. ``confirmation_message`` is asked first.
    ``show_overlay`` covers the page while it runs. ``modal_url``: the name of an address whose content is shown in a
    dialog. ``job_type``: only such jobs offer it, by name or class. Raises ``TypeError`` or ``ValueError``, saying what
    to change.
    """

    label: str
    callback_or_url: Callable[..., Any] | str | None = None
    enabled_callback: Callable[..., Any] | None = None
    confirmation_message: str | None = None
    show_overlay: bool = False
    modal_url: str | None = None
    job_type: str | type[Job] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.label, str) or not self.label.strip():
            raise ValueError("A CustomJobAction needs a label: the words in the menu.")
        if self.callback_or_url is None and self.modal_url is None:
            raise ValueError(f"The action “{self.label}” does nothing. Give it a callback, a url or a modal_url.")
        for given in (self.callback_or_url, self.enabled_callback):
            if callable(given):
                path_of(given)
        if self.job_type is not None:
            JobManager._job_class(self.job_type)

    def written(self) -> dict[str, Any]:
        """As JSON: callables by the path that imports them."""
        callback = self.callback_or_url
        return {
            **asdict(self),
            "callback_or_url": {"call": path_of(callback)} if callable(callback) else callback,
            "enabled_callback": path_of(self.enabled_callback) if self.enabled_callback else None,
            "job_type": self.job_type.__name__ if isinstance(self.job_type, type) else self.job_type,
        }

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Self:
        """From what ``written`` gave. Raises ``Unresolved``."""
        callback, enabled = written["callback_or_url"], written["enabled_callback"]
        if isinstance(callback, Mapping):
            callback = called(callback["call"])
        return cls(**{**written, "callback_or_url": callback, "enabled_callback": called(enabled) if enabled else None})

    def suits(self, job: Job) -> bool:
        """Whether such a job has the action."""
        return self.job_type is None or isinstance(job, JobManager._job_class(self.job_type))

    def is_enabled(self, job: Job) -> bool:
        """What ``enabled_callback`` says; False when it fails, which is logged."""
        if self.enabled_callback is None:
            return True
        try:
            return bool(self.enabled_callback(job, job.cached_status))
        except Exception:  # an app's own code may raise anything, and the table is to be shown all the same
            # Once a minute: an open table asks for each row every few seconds.
            if cache.add(f"jobsapi-unsure-{path_of(self.enabled_callback)}", 1, 60):
                logger.exception("Whether “%s” is possible for job %s cannot be told", self.label, job.pk)
            return False

    def call(self, request: Any, job: Job) -> Any:
        """Do it. Raises what the app's function raises."""
        assert callable(self.callback_or_url)
        arguments = (request, job) if _takes_request(self.callback_or_url) else (job,)
        if inspect.iscoroutinefunction(self.callback_or_url):
            from asgiref.sync import async_to_sync

            return async_to_sync(self.callback_or_url)(*arguments)
        return self.callback_or_url(*arguments)


Action = str | CustomJobAction
"""The name of a built-in action, ``DIVIDER``, or one of the app's own."""


def actions_of(given: Sequence[Any] | None, *, monitor_url: str, results_url: str) -> tuple[Action, ...]:
    """What ``JobsTable(actions=...)`` was given. Raises ``ValueError`` or ``TypeError`` for what is no action."""
    chosen = tuple(_action(each) for each in (DEFAULT if given is None else given))
    missing = {"monitor": not monitor_url, "results": not results_url}
    return tuple(each for each in chosen if not (isinstance(each, str) and missing.get(each)))


def _action(given: Any) -> Action:
    if isinstance(given, CustomJobAction):
        return given
    if isinstance(given, str):
        if given != DIVIDER and given not in BUILT_IN:
            raise ValueError(
                f"There is no action “{given}”. Built in are {', '.join(BUILT_IN)}, and “|” for a divider; "
                "one of your own is a CustomJobAction."
            )
        return given
    if isinstance(given, Mapping):
        return CustomJobAction(**given)
    if isinstance(given, tuple | list):
        return CustomJobAction(*given)
    raise TypeError(f"An action is a name, “|”, or a CustomJobAction (or its arguments), not {given!r}.")


def path_of(function: Callable[..., Any]) -> str:
    """The path that imports a function: ``module:name``. Raises ``TypeError`` if nothing does."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    path = f"{module}:{name}"
    try:
        found = called(path)
    except Unresolved:
        found = None
    if found is not function:
        raise TypeError(
            f"{function!r} cannot be found again when a button is pressed, which is another request. "
            "Define it at the top of a module, or as a static method of a class; a lambda, a function inside a "
            "function, and a method of an object cannot be used."
        )
    return path


def called(path: str) -> Callable[..., Any]:
    """The function that ``path_of`` named. Raises ``Unresolved``."""
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for step in name.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError, ValueError) as error:
        raise Unresolved(f"{path} is not there any more.") from error
    if not callable(found):
        raise Unresolved(f"{path} is no function any more.")
    return found  # type: ignore[no-any-return]


def _takes_request(callback: Callable[..., Any]) -> bool:
    parameters = [
        each
        for each in inspect.signature(callback).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    required = [each for each in parameters if each.default is each.empty]
    return bool(parameters) and (parameters[0].name == "request" or len(required) > 1)


def address_of(view: str, job_id: int) -> str:
    """The address of a job's page, by the name that an app gave. Raises ``ValueError`` that says what is wrong."""
    for arguments in ({"args": [job_id]}, {"kwargs": {"job_id": job_id}}):
        try:
            return reverse(view, **arguments)
        except NoReverseMatch:
            continue
    raise ValueError(f"There is no address “{view}” that takes the number of a job: path('…/<int:job_id>/', …).")
