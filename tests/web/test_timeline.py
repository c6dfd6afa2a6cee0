"""A job's history as stretches and as a list: pure, on moments that are written here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobsapi.status import SENTENCES, Status
from jobsapi.web.job.timeline import FEW, WIDTH, Moment, entries, runs

BEGIN = datetime(2026, 5, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def told(*events) -> list[Moment]:
    """Moments from (seconds, by, status) and, where it matters, a message."""
    return [Moment(after(seconds), by, status, 1, *message) for seconds, by, status, *message in events]


EXECUTED, ACCEPTED = (0, "execute", "SUB"), (2, "worker", "SUB", "Accepted by pool as 13.")


def names(run) -> list[tuple[str, float]]:
    return [(each.kind.name, each.length(after(1000)).total_seconds()) for each in run.stretches]


def test_a_job_that_waits_runs_is_held_and_ends_is_drawn_in_that_order():
    (run,) = runs(
        told(
            EXECUTED,
            ACCEPTED,
            (10, "scheduler", "RUN"),
            (30, "scheduler", "PAS", "Out of memory."),
            (35, "release", "PAS", "Asked to resume."),
            (40, "scheduler", "SUB"),
            (50, "scheduler", "RUN"),
            (90, "scheduler", "RES"),
            (93, "worker", "COM"),
        )
    )

    assert names(run) == [
        ("Waiting to be submitted", 2),
        ("Waiting at the scheduler", 8),
        ("Running", 20),
        ("Held", 10),
        ("Waiting at the scheduler", 10),
        ("Running", 40),
        ("Fetching results", 3),
    ]
    assert (run.name, run.outcome, run.end) == ("", "Complete", after(93))


def test_the_bar_is_as_wide_as_the_drawing_and_every_stretch_can_be_seen():
    (run,) = runs(told(EXECUTED, ACCEPTED, (2.1, "scheduler", "RUN"), (90_000, "scheduler", "ERR")))

    drawing = run.drawn(after(90_000))

    widths = [float(segment.width) for segment in drawing.segments]
    assert sum(widths) == pytest.approx(WIDTH, abs=0.5)
    assert min(widths) > 3
    assert drawing.words == ("Waiting to be submitted: 2 s, then Waiting at the scheduler: 0 s, then Running: 1 d 0 h")


def test_what_goes_on_grows_with_the_clock():
    (run,) = runs(told(EXECUTED, ACCEPTED, (10, "scheduler", "RUN")))

    (*_, total) = run.drawn(after(70)).totals

    assert (total.name, total.length, total.since) == ("Running", "1 min 0 s", after(10))
    assert run.outcome == ""
    assert run.growth(after(1000)) == run.growth(after(1001)) < run.growth(after(1100))


def test_many_stretches_are_summed_up_by_what_they_are():
    held = [(10 * number, "scheduler", status) for number in range(1, 51) for status in [("RUN", "PAS")[number % 2]]]
    (run,) = runs(told(EXECUTED, *held, (510, "scheduler", "ERR")))

    drawing = run.drawn(after(510))

    assert len(drawing.segments) > FEW
    assert {each.name: (each.length, each.times) for each in drawing.totals}["Held"] == ("4 min 10 s", 25)
    assert "Held: 4 min 10 s in 25 stretches" in drawing.words


def test_the_schedulers_word_for_when_it_started_counts():
    (run,) = runs(told(EXECUTED, ACCEPTED, (30, "scheduler", "RUN"), (60, "scheduler", "RES")), started=after(12))

    assert names(run)[:3] == [("Waiting to be submitted", 2), ("Waiting at the scheduler", 10), ("Running", 48)]


def test_a_job_that_was_over_before_anybody_looked_is_not_said_to_have_waited():
    (run,) = runs(told(EXECUTED, ACCEPTED, (10, "scheduler", "RES"), (11, "worker", "COM")))

    assert names(run)[1] == ("Waiting or running", 8)


def test_each_run_has_a_bar_of_its_own():
    first, second, third = runs(
        told(
            EXECUTED,
            ACCEPTED,
            (10, "scheduler", "RUN"),
            (40, "lost", "SUB", "Lost."),
            (42, "worker", "SUB", "Accepted."),
            (50, "scheduler", "RUN"),
            (60, "scheduler", "RES"),
            (61, "worker", "COM"),
            (900, "resubmit", "SUB", "Asked to run again."),
        )
    )

    assert (first.name, first.outcome, first.end) == ("Run 1", "Lost", after(40))
    assert (second.name, second.outcome) == ("Run 2, submitted again", "Complete")
    assert (third.name, third.outcome, third.end) == ("Run 3, run again", "", None)


def test_a_history_with_a_gap_says_that_it_has_one():
    moments = told(EXECUTED, (500, "scheduler", "RUN"), (600, "scheduler", "PAS"))

    (run,) = runs(moments, is_cut=True)

    assert [name for name, _ in names(run)] == ["Not drawn: too many events", "Running", "Held"]


def test_a_job_without_a_history_has_no_bar():
    assert runs([]) == ()


@pytest.mark.parametrize("status", list(Status))
def test_whatever_an_app_says_is_drawn(status):
    moments = told((0, "app", status.value), (5, "app", "OTH"), (6, "app", status.value))
    for run in runs(moments):
        assert run.drawn(after(10)).words
    assert len(entries(moments)) == 3


def test_the_list_says_what_happened_in_words():
    listed = entries(
        told(
            (0, "execute", "SUB", SENTENCES["execute", Status.SUBMITTED]),
            ACCEPTED,
            (10, "scheduler", "RUN", SENTENCES["scheduler", Status.RUNNING]),
            (30, "scheduler", "PAS", "Out of memory."),
            (35, "release", "PAS", "Asked to resume."),
            (40, "scheduler", "RUN", "On node 7."),
            (90, "scheduler", "ERR", "Exit code 3."),
            (91, "retention", "ERR", "Its logs were removed."),
        )
    )

    assert [(entry.title, entry.message) for entry in listed] == [
        ("Queued", ""),
        ("Submitted", "Accepted by pool as 13."),
        ("Started", ""),
        ("Held", "Out of memory."),
        ("Asked to resume", ""),
        ("Released", "On node 7."),
        ("Error", "Exit code 3."),
        ("Note", "Its logs were removed."),
    ]
    assert [entry.run for entry in listed] == [""] * 8


def test_the_list_says_where_a_run_begins_when_there_are_several():
    listed = entries(told(EXECUTED, (10, "worker", "ERR"), (20, "resubmit", "SUB", "Asked to run again.")))

    assert [entry.run for entry in listed] == ["Run 1", "", "Run 2"]
