"""Without beat and workers jobs wait: what is missing is said, with the command that starts it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery.signals import after_task_publish, heartbeat_sent, task_postrun
from django.core import checks
from django.db import connection, transaction
from django.utils import timezone

from jobsapi import conf, lifecycle
from jobsapi.checks import check_processes
from jobsapi.models import Heartbeat
from tests.rig.eventually import eventually
from worker.celery import QUEUES, defaults
from worker.heartbeats import Answers, Pulse, beat_starts

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
CONTROL, WORK = ("control", "refresh"), ("submit", "results")


@pytest.fixture
def seen():
    """Write that a process was seen so many minutes ago, and answered messages of its queues until then."""

    def write(name, minutes=0.0, queues=(), answered=None):
        at = NOW - timedelta(minutes=minutes)
        Heartbeat.objects.create(name=name, seen_at=at, queues=list(queues))
        for queue in queues if answered is None else answered:
            Heartbeat.objects.get_or_create(name=f"queue {queue}", defaults={"seen_at": at})

    return write


@pytest.fixture
def all_well(seen):
    seen("beat")
    seen("control@here", queues=CONTROL)
    seen("work@here", queues=WORK)


def test_when_all_are_at_work_nothing_is_said(all_well, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert Heartbeat.silent(NOW) == []


def test_on_a_new_site_the_workers_are_missing(db):
    assert Heartbeat.silent(NOW) == [
        "No worker takes the queues control, refresh, submit, results (none was seen yet): jobs wait. "
        "Start one: celery -A worker worker --pool threads -Q control,refresh,submit,results"
    ]


def test_a_worker_that_was_started_without_queues_takes_but_one_of_them(seen):
    seen("beat")
    seen("celery@here", queues=["control"])

    (sentence,) = Heartbeat.silent(NOW)
    assert "No worker takes the queues refresh, submit, results (none was seen yet)" in sentence


def test_a_worker_that_has_stopped_is_missed_after_a_while(seen):
    seen("beat")
    seen("control@here", queues=CONTROL)
    seen("work@here", 7, queues=WORK)

    assert Heartbeat.silent(NOW) == [
        "No worker takes the queues submit, results for 7 min: jobs wait. "
        "Start one: celery -A worker worker --pool threads -Q submit,results"
    ]


def test_another_worker_may_take_its_place_under_another_name(all_well, seen):
    seen("work@there", 60 * 24, queues=WORK)

    assert Heartbeat.silent(NOW) == []


def test_without_beat_nothing_is_asked_of_schedulers(seen):
    seen("all@here", queues=(*CONTROL, *WORK))
    assert "No beat (none was seen yet): nobody asks schedulers" in Heartbeat.silent(NOW)[0]
    seen("beat", 5)

    (sentence,) = Heartbeat.silent(NOW)

    assert sentence.startswith("No beat for 5 min:")
    assert sentence.endswith("Start it: celery -A worker beat")


def test_a_worker_that_lives_and_takes_no_message_is_missed(seen):
    seen("beat")
    seen("control@here", queues=CONTROL)
    seen("work@here", queues=WORK, answered=[])
    assert Heartbeat.silent(NOW) == [
        "The worker of the queues submit, results is there, and has answered no message (none was seen yet): "
        "jobs wait. All of its threads are busy, or it hangs. If that lasts, restart it."
    ]
    seen("queue results")
    seen("queue submit", 5)

    (sentence,) = Heartbeat.silent(NOW)

    assert sentence.startswith("The worker of the queue submit is there, and has answered no message for 5 min:")


def test_a_queue_that_is_answered_needs_no_other_sign(all_well):
    Heartbeat.objects.filter(name="work@here").delete()

    assert Heartbeat.silent(NOW) == []


def test_when_beat_is_missing_nobody_says_that_workers_hang(seen):
    seen("beat", 5)
    seen("all@here", queues=(*CONTROL, *WORK), answered=["submit"])

    (sentence,) = Heartbeat.silent(NOW)
    assert sentence.startswith("No beat for 5 min:")


def test_when_all_have_fallen_silent_it_may_be_the_broker(seen):
    seen("beat", 5)
    seen("control@here", 5, queues=CONTROL)
    seen("work@here", 5, queues=WORK)

    (sentence,) = Heartbeat.silent(NOW)

    assert sentence.startswith("No worker takes the queues control, refresh, submit, results for 5 min:")
    assert sentence.endswith("If they run, the message broker is away.")


def test_how_long_nothing_is_said_is_a_setting(all_well, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "QUIET_AFTER": 600.0}
    assert Heartbeat.silent(NOW + timedelta(seconds=599)) == []
    assert Heartbeat.silent(NOW + timedelta(seconds=601))


def test_after_hours_the_time_is_told(seen):
    seen("all@here", queues=(*CONTROL, *WORK))
    seen("beat", 60 * 5)

    assert f"No beat since {NOW - timedelta(hours=5):%Y-%m-%d %H:%M}" in Heartbeat.silent(NOW)[0]


def test_what_was_written_far_ahead_of_now_shows_nothing(seen):
    seen("beat", -60)
    seen("all@here", -60, queues=(*CONTROL, *WORK))

    (sentence,) = Heartbeat.silent(NOW)

    assert sentence.startswith("No worker takes the queues control, refresh, submit, results (none was seen yet)")


def test_clocks_may_differ_by_less(seen):
    ahead = -(conf.quiet_after() - 1) / 60
    seen("beat", ahead)
    seen("all@here", ahead, queues=(*CONTROL, *WORK))

    assert Heartbeat.silent(NOW) == []


def test_a_slow_beat_is_not_called_silent(seen, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "RESCUE_INTERVAL": 300.0}
    seen("all@here", queues=(*CONTROL, *WORK))
    seen("beat", 10)

    assert Heartbeat.silent(NOW) == []


def test_a_dispatcher_that_needs_no_worker_misses_none(db, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher"}

    assert Heartbeat.silent(NOW) == []


def test_rescue_shows_that_beat_lives(silent):
    for _ in range(2):
        lifecycle.rescue()

    assert timezone.now() - Heartbeat.objects.get(name="beat").seen_at < timedelta(seconds=10)


def test_recording_costs_one_statement(db, django_assert_num_queries):
    Heartbeat.record("control@here", CONTROL)

    with django_assert_num_queries(1):
        Heartbeat.record("control@here", WORK)

    assert Heartbeat.objects.get().queues == ["results", "submit"]


@pytest.fixture
def no_tables(db):
    """As before the first migration."""
    with connection.schema_editor() as editor:
        editor.delete_model(Heartbeat)
    yield
    with connection.schema_editor() as editor:
        editor.create_model(Heartbeat)


class TestTheWorkersPulse:
    @pytest.fixture
    def heart(self):
        """What Celery sends its heartbeats with."""
        amqp = SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(WORK)))
        return SimpleNamespace(eventer=SimpleNamespace(hostname="work@here", app=SimpleNamespace(amqp=amqp)))

    def test_it_is_written_once_in_a_while_and_never_waited_for(self, db, heart):
        pulse = Pulse()

        for _ in range(5):
            pulse(heart)
        eventually(Heartbeat.objects.exists)

        row = Heartbeat.objects.get()
        assert (row.name, row.queues) == ("work@here", sorted(WORK))
        pulse._writer.join(10)
        Heartbeat.objects.all().delete()
        pulse(heart)
        assert not pulse._writer.is_alive()
        assert not Heartbeat.objects.exists()

    def test_a_database_that_is_away_stops_no_worker(self, no_tables, heart, caplog):
        pulse = Pulse()

        pulse(heart)
        pulse._writer.join(10)

        assert "The heartbeat of work@here was not written" in caplog.text

    def test_a_write_that_has_to_wait_is_not_joined_by_others(self, db, heart):
        Heartbeat.record("work@here")
        pulse = Pulse()
        pulse.INTERVAL = 0.0

        with transaction.atomic():
            Heartbeat.record("work@here")  # which locks the row, or the database
            pulse(heart)
            first = pulse._writer
            pulse(heart)
            assert pulse._writer is first
            assert first.is_alive()
        first.join(10)

        assert Heartbeat.objects.get().queues == sorted(WORK)

    def test_beat_shows_that_it_lives_when_the_broker_has_taken_its_message(self, db):
        before = len(after_task_publish.receivers)
        try:
            beat_starts()
            after_task_publish.send("jobsapi.rescue")

            eventually(Heartbeat.objects.filter(name="beat").exists)
        finally:
            del after_task_publish.receivers[before:]

    def test_celery_calls_it(self):
        assert any(isinstance(receiver, Pulse) for _, receiver in heartbeat_sent.receivers)


class TestAnswers:
    """What is written when a worker is through with a message."""

    @pytest.fixture
    def task(self):
        """A task of a worker of a site that has a routing key of its own for one of its queues."""
        queues = {
            "submit": SimpleNamespace(routing_key="jobs.submit"),
            "results": SimpleNamespace(routing_key="results"),
        }
        app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)))
        request = SimpleNamespace(is_eager=False, delivery_info={"routing_key": "jobs.submit"})
        return SimpleNamespace(app=app, request=request)

    def test_the_queue_is_written_once_in_a_while(self, db, task, django_assert_num_queries):
        answers = Answers()

        answers(task)
        with django_assert_num_queries(0):
            answers(task)
        task.request.delivery_info = {"routing_key": "results"}
        answers(task)

        assert set(Heartbeat.signs(timezone.now()).answers) == {"submit", "results"}

    @pytest.mark.parametrize("delivery", [None, {}, {"routing_key": "x" * 999}])
    def test_a_strangers_message_names_no_queue(self, db, task, delivery):
        task.request.delivery_info = delivery

        Answers()(task)

        assert not Heartbeat.objects.exists()

    def test_what_was_called_without_a_worker_proves_none(self, db, task):
        task.request.is_eager = True

        Answers()(task)

        assert not Heartbeat.objects.exists()

    def test_a_database_that_is_away_fails_no_task(self, no_tables, task, caplog):
        Answers()(task)

        assert "That the queue submit was answered was not written" in caplog.text

    def test_celery_calls_it(self):
        assert any(isinstance(receiver, Answers) for _, receiver in task_postrun.receivers)

    def test_beat_asks_every_queue_often_enough(self):
        asked = {
            entry["options"]["queue"]: entry["schedule"].total_seconds()
            for entry in defaults()["beat_schedule"].values()
            if entry["task"] == "jobsapi.answer"
        }
        assert asked == dict.fromkeys(QUEUES, conf.quiet_after() / 3)


class TestTheCheck:
    def test_it_says_what_is_missing_when_the_database_may_be_asked(self, db):
        assert check_processes() == check_processes(databases=[]) == check_processes(databases=["other"]) == []

        (message,) = check_processes(databases=["default"])

        assert (message.id, message.level) == ("jobsapi.W008", checks.WARNING)
        assert message.msg.startswith("No worker takes the queues")
        assert "docs/operations.md" in message.hint

    def test_it_is_content_when_all_are_at_work(self, db):
        Heartbeat.record(Heartbeat.BEAT)
        for queue in (*CONTROL, *WORK):
            Heartbeat.answered(queue)

        assert check_processes(databases=["default"]) == []

    def test_it_says_nothing_about_a_database_without_tables(self, no_tables):
        assert check_processes(databases=["default"]) == []

    def test_it_runs_with_migrate_and_with_no_other_command(self):
        from django.core.checks import Tags, run_checks

        assert check_processes.tags == (Tags.database,)
        assert not [each for each in run_checks() if each.id == "jobsapi.W008"]
