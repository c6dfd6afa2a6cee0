"""The statuses of a job and the edges between them. Pure data: the one table that guards every change of status."""

from collections.abc import Mapping
from typing import NamedTuple

from django.db.models import TextChoices


class Status(TextChoices):
    """Codes and names of the Jobs API; ``Paused`` is added for pause and resume."""

    PENDING = "PEN", "Pending"
    """Created; nobody has asked for it to run."""
    SUBMITTED = "SUB", "Submitted"
    """Asked to run. ``native_id`` is empty until the scheduler has accepted it."""
    RUNNING = "RUN", "Running"
    """The scheduler says that it runs."""
    VARIOUS = "VAR", "Various"
    """Its parts are in different states, and some have not ended."""
    PAUSED = "PAS", "Paused"
    """Held, by the user or by the scheduler; ``status_message`` says why."""
    COMPLETE = "COM", "Complete"
    """Ended well, and its results are stored."""
    ERROR = "ERR", "Error"
    """Ended badly; ``status_message`` says why."""
    ABORTED = "ABT", "Aborted"
    """Stopped at a user's wish, which the scheduler has confirmed."""
    VARIOUS_COMPLETE = "VCP", "Various-Complete"
    """All parts ended, some well and some not; the results of those that ended well are stored."""
    RESULTS_READY = "RES", "Results-Ready"
    """The scheduler is done; a worker is fetching or processing the results."""
    OTHER = "OTH", "Other"
    """A custom status set by the app; its label is in ``custom_status``."""


PRE_RUNNING = frozenset({Status.PENDING, Status.SUBMITTED})
RUNNING = frozenset({Status.RUNNING, Status.VARIOUS})
AT_SCHEDULER = frozenset({Status.SUBMITTED, Status.RUNNING, Status.VARIOUS, Status.PAUSED})
ACTIVE = AT_SCHEDULER | {Status.RESULTS_READY}
TERMINAL = frozenset({Status.COMPLETE, Status.ERROR, Status.ABORTED, Status.VARIOUS_COMPLETE})
NON_TERMINAL = ACTIVE | {Status.PENDING}

_UNENDED = ACTIVE | {Status.OTHER}


class Edge(NamedTuple):
    """One way in which the status may change: who causes it, from where, to where, and what it means."""

    by: str
    sources: frozenset[Status]
    to: Status
    sentence: str


EDGES = (
    Edge(
        "execute",
        frozenset({Status.PENDING, Status.OTHER}),
        Status.SUBMITTED,
        "The app asks for the job to run, for the first time.",
    ),
    Edge(
        "resubmit", TERMINAL | {Status.OTHER}, Status.SUBMITTED, "A job that has ended is run again, as a new attempt."
    ),
    Edge(
        "process_results",
        frozenset({Status.ERROR}),
        Status.RESULTS_READY,
        "The kept raw result is processed again after the processing function failed.",
    ),
    Edge(
        "stop",
        _UNENDED | {Status.PENDING},
        Status.ABORTED,
        "A job that was never handed to a scheduler is stopped on the spot.",
    ),
    Edge(
        "scheduler",
        frozenset({Status.RUNNING, Status.VARIOUS, Status.PAUSED}),
        Status.SUBMITTED,
        "The scheduler took it off the machine again; it waits for its next turn.",
    ),
    Edge(
        "scheduler",
        frozenset({Status.SUBMITTED, Status.VARIOUS, Status.PAUSED}),
        Status.RUNNING,
        "The scheduler has started it.",
    ),
    Edge(
        "scheduler",
        frozenset({Status.SUBMITTED, Status.RUNNING, Status.PAUSED}),
        Status.VARIOUS,
        "Its parts have come to be in different states.",
    ),
    Edge(
        "scheduler",
        frozenset({Status.SUBMITTED, Status.RUNNING, Status.VARIOUS}),
        Status.PAUSED,
        "It is held, and the scheduler says why.",
    ),
    Edge(
        "scheduler",
        AT_SCHEDULER | {Status.OTHER},
        Status.RESULTS_READY,
        "The scheduler is done with it; the results are fetched next.",
    ),
    Edge("scheduler", _UNENDED, Status.ERROR, "It failed, in the words of the scheduler."),
    Edge("scheduler", _UNENDED, Status.ABORTED, "The scheduler confirms that it was stopped."),
    Edge("lost", _UNENDED, Status.SUBMITTED, "The scheduler has lost it; it is submitted again, as a new attempt."),
    Edge("worker", frozenset({Status.RESULTS_READY}), Status.COMPLETE, "The results are stored."),
    Edge(
        "worker",
        frozenset({Status.RESULTS_READY}),
        Status.VARIOUS_COMPLETE,
        "The results of the parts that ended well are stored.",
    ),
    Edge(
        "worker",
        _UNENDED,
        Status.ERROR,
        "The scheduler refused it, or its results could not be processed or stored.",
    ),
    Edge(
        "worker",
        _UNENDED,
        Status.ABORTED,
        "It was stopped before the scheduler had it, or as the scheduler confirmed at once.",
    ),
    Edge(
        "admin",
        frozenset({Status.PENDING, Status.OTHER}),
        Status.SUBMITTED,
        "An administrator had it adopt what its scheduler has of it, of which the row did not know.",
    ),
    Edge(
        "admin",
        _UNENDED,
        Status.ERROR,
        "An administrator gave its scheduler up, as gone for good: nobody can tell any more what became of it.",
    ),
    *(
        Edge("app", _UNENDED | {Status.PENDING}, to, "The app itself says so, with update_status(...).")
        for to in Status
        if to is not Status.PENDING
    ),
)
"""Every change of status there is. ``docs/status.md`` is generated from it."""

SOURCES: Mapping[tuple[str, Status], frozenset[Status]] = {(edge.by, edge.to): edge.sources for edge in EDGES}
"""Which statuses may become ``to`` when ``by`` causes it. ``Job.transition`` guards its UPDATE with it."""

SENTENCES: Mapping[tuple[str, Status], str] = {(edge.by, edge.to): edge.sentence for edge in EDGES}
"""What each change means; a job's history says it where the cause has no words of its own."""

REVIVES = frozenset({"resubmit", "process_results"})
"""Causes that may change a job that has ended. No other can, whatever is observed and however late."""


def combine(parts: Mapping[Status, int]) -> Status:
    """Status of a job from the number of its parts in each status; ``Pending`` when it has none.

    A part that has ended well counts as ``Complete``. Parts that all ended well make ``Complete``; that all ended,
    some of them well, ``Various-Complete``; that all ended badly, ``Error`` (``Aborted`` if that is what all of them
    are); parts of one status, that status; anything else ``Various``.
    """
    present = {status for status, count in parts.items() if count}
    if not present:
        return Status.PENDING
    if len(present) == 1:
        return present.pop()
    if present <= TERMINAL:
        return Status.VARIOUS_COMPLETE if present & {Status.COMPLETE, Status.VARIOUS_COMPLETE} else Status.ERROR
    return Status.VARIOUS


def parse(text: str) -> tuple[Status, str]:
    """A code or a display name as its status; any other text as ``Other`` with that text as its custom label."""
    for status in Status:
        if text in (status.value, status.label):
            return status, ""
    return Status.OTHER, text
