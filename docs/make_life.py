"""Writes ``docs/life.md`` and its picture: ``python docs/make_life.py``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from drawing import Picture, Point

DOCS = Path(__file__).parent
PAGE, PICTURE = DOCS / "life.md", DOCS / "images" / "life.svg"


@dataclass(frozen=True)
class Step:
    """One edge of the picture, its sentence, and the code that it is about."""

    name: str
    sentence: str
    code: tuple[str, ...]
    """Dotted names in our packages; a test imports them."""
    points: tuple[Point, ...]
    number_at: Point
    kind: str

    @property
    def upright(self) -> bool:
        """Whether its number sits on a line that goes up."""
        return any(a[0] == b[0] == self.number_at[0] for a, b in pairwise(self.points))


# fmt: off
STEPS = (
    Step(
        "execute()", "`job.execute(work)` packs the work and writes the row, an event and the sealed input in one "
        "transaction.",
        ("jobsapi.models.Job.execute", "jobsapi.models.Job.transition"),
        ((190, 200), (330, 200)), (260, 200), "app",
    ),
    Step(
        "commit", "Once that is committed, the dispatcher hears of it. What is rolled back was never asked for.",
        ("jobsapi.dispatch.enqueue",),
        ((330, 290), (190, 290)), (260, 290), "app",
    ),
    Step(
        "publish", "The dispatcher publishes a message, a verb and the job's number, and gives up after half a second.",
        ("worker.tasks.CeleryDispatcher",),
        ((110, 320), (110, 437), (310, 437)), (210, 437), "app",
    ),
    Step(
        "task", "A Celery worker takes it: a task of one line calls the verb of the same name in `lifecycle.py`.",
        ("worker.tasks.submit", "jobsapi.lifecycle.submit"),
        ((490, 425), (640, 425), (640, 330)), (640, 380), "worker",
    ),
    Step(
        "lease", "The worker leases the jobs that are due for this step, so that no other one takes it meanwhile.",
        ("jobsapi.lease.lease", "jobsapi.due.due"),
        ((610, 120), (470, 120)), (540, 120), "worker",
    ),
    Step(
        "submit", "It looks for an earlier try at the scheduler, by the attempt's id; it adopts that, or submits the "
        "job.",
        ("jobsapi.steps.submit", "jobsapi.backends.base.Backend.find", "jobsapi.backends.base.Backend.submit"),
        ((770, 150), (910, 150)), (840, 150), "worker",
    ),
    Step(
        "observations", "One exchange tells how all jobs of that scheduler are; of those that are done, the result is "
        "fetched.",
        ("jobsapi.steps.refresh", "jobsapi.backends.base.Backend.poll", "jobsapi.backends.base.Backend.fetch_results"),
        ((910, 250), (770, 250)), (840, 250), "scheduler",
    ),
    Step(
        "transition", "What is new goes into the row and its history, if the table of statuses allows it. A job is "
        "Complete in the same transaction in which its result is stored.",
        ("jobsapi.models.Job.observe_many", "jobsapi.models.JobEvent", "jobsapi.steps.fetch_results"),
        ((610, 250), (470, 250)), (540, 250), "worker",
    ),
    Step(
        "changed rows", "The page asks every two seconds for the rows that have changed; your own code can listen to "
        "`job_status_changed`.",
        ("jobsapi.web.views.jobs", "jobsapi.signals.job_status_changed"),
        ((330, 110), (190, 110)), (260, 110), "app",
    ),
    Step(
        "what is due", "Beat has the schedulers asked in turn, and sends a message for whatever is due in the "
        "database, so that a lost one costs only time.",
        ("jobsapi.lifecycle.rescue", "jobsapi.lifecycle.refresh_due"),
        ((875, 452), (490, 452)), (740, 452), "worker",
    ),
)
# fmt: on


def picture() -> str:
    """The life of a job as SVG."""
    drawn = Picture(1060, 500, "The life of a job", f"From a view to the page, in {len(STEPS)} steps.")
    drawn.frame((20, 30), (190, 320), "web process")
    drawn.frame((310, 30), (180, 320), "your database")
    drawn.frame((590, 30), (200, 320), "Celery workers")
    drawn.frame((890, 30), (150, 320), "Dask, HTCondor")
    drawn.frame((290, 387), (220, 97), "broker")
    drawn.frame((855, 387), (185, 97), "Celery beat")
    for step in STEPS:
        drawn.arrow(step.points, step.kind)
    drawn.box((110, 110), (160, 56), ["page", "table of jobs"])
    drawn.box((110, 200), (160, 56), ["view", "job.execute(work)"])
    drawn.box((110, 290), (160, 56), ["dispatcher", "“submit 27”"])
    drawn.box((400, 195), (140, 270), ["row + events", "status, times,", "input, result:", "the truth"], "good")
    drawn.box((690, 195), (160, 270), ["lifecycle", "submit", "refresh", "fetch_results", "cancel", "…"], "busy")
    drawn.box((965, 200), (110, 150), ["scheduler", "runs the work"], "halt")
    drawn.box((400, 444), (180, 52), ["queue", "messages, no data"])
    drawn.box((945, 444), (150, 52), ["timer", "every few seconds"])
    for number, step in enumerate(STEPS, start=1):
        x, y = step.number_at
        drawn.number(step.number_at, number)
        drawn.note(
            (x + 16, y - 8) if step.upright else (x, y - 17),
            step.name,
            step.kind,
            "start" if step.upright else "middle",
        )
    return drawn.svg()


def page() -> str:
    """The page as it should be."""
    return "\n".join(
        [
            "# The life of a job",
            "",
            "![From a view to the page, step by step](images/life.svg)",
            "",
            *(f"{number}. {step.sentence}" for number, step in enumerate(STEPS, start=1)),
            "",
            "A request takes steps 1 to 3 and 9; none of them waits for a scheduler. [How it works](how_it_works.md)",
            "says what makes each step safe to repeat, [the statuses](status.md) what step 8 may write.",
            "",
            "| step | where to read it |",
            "| --- | --- |",
            *(f"| {number} | {', '.join(f'`{name}`' for name in step.code)} |" for number, step in enumerate(STEPS, 1)),
            "",
            "This page and its picture are written by `python docs/make_life.py`.",
            "",
        ]
    )


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture())
    PAGE.write_text(page())
