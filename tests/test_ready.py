"""``/readyz`` says that jobs are run, and what is missing if not. It asks the database, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import AsyncClient
from django.utils import timezone

from jobsapi.models import Heartbeat
from jobsapi.portal.readiness import known
from worker.celery import QUEUES

pytestmark = pytest.mark.django_db(transaction=True)

ANYWHERE = {"host": "10.0.0.1"}


@pytest.fixture
def all_well(migrated):
    Heartbeat.record(Heartbeat.BEAT)
    for queue in QUEUES:
        Heartbeat.answered(queue)


@pytest.fixture
def migrated(transactional_db, settings):
    """As after ``migrate``: the tests' own tables may have been made without it."""
    settings.MIGRATION_MODULES = {}
    known.cache_clear()
    recorder = MigrationRecorder(connection)
    before = set(recorder.applied_migrations())
    for key in set(known()) - before:
        recorder.record_applied(*key)
    yield
    now = set(recorder.applied_migrations())
    for key in now - before:
        recorder.record_unapplied(*key)
    for key in before - now:
        recorder.record_applied(*key)
    known.cache_clear()


def lines(answer):
    return answer.content.decode().splitlines()


@pytest.mark.usefixtures("all_well")
def test_when_all_have_answered_it_is_ready_by_any_name_without_https_and_is_not_kept(client, settings):
    settings.SECURE_SSL_REDIRECT = True

    answer = client.get("/readyz", headers=ANYWHERE)

    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert [line.partition(" at ")[0] for line in lines(answer)] == [
        "ready",
        "ok   database: answers",
        "ok   migrations: applied",
        *(f"ok   queue {queue}: answered" for queue in QUEUES),
        "ok   beat: seen",
    ]


@pytest.mark.usefixtures("all_well")
def test_it_answers_under_asgi_too():
    assert async_to_sync(AsyncClient().get)("/readyz", headers=ANYWHERE).status_code == 200


@pytest.mark.usefixtures("all_well")
def test_a_queue_that_is_not_answered_makes_it_unready_and_says_since_when(client):
    since = timezone.now() - timedelta(minutes=5)
    Heartbeat.objects.filter(name="queue submit").update(seen_at=since)

    answer = client.get("/readyz", headers=ANYWHERE)

    assert answer.status_code == 503
    failed = [line for line in lines(answer) if not line.startswith("ok ")]
    assert failed == ["not ready", f"FAIL queue submit: not answered since {since:%Y-%m-%dT%H:%M:%SZ}"]


@pytest.mark.usefixtures("migrated")
def test_a_worker_that_only_says_that_it_lives_does_not_make_it_ready(client):
    Heartbeat.record(Heartbeat.BEAT)
    Heartbeat.record("all@here", [*QUEUES])

    answer = client.get("/readyz", headers=ANYWHERE)

    assert answer.status_code == 503
    assert [line for line in lines(answer) if line.startswith("FAIL")] == [
        f"FAIL queue {queue}: not answered yet" for queue in QUEUES
    ]
    assert "here" not in answer.content.decode()


@pytest.mark.usefixtures("all_well")
def test_what_was_written_far_ahead_of_now_shows_nothing(client):
    Heartbeat.objects.update(seen_at=timezone.now() + timedelta(hours=1))

    answer = client.get("/readyz", headers=ANYWHERE)

    assert answer.status_code == 503
    assert [line for line in lines(answer) if line.startswith("FAIL")] == [
        *(f"FAIL queue {queue}: not answered yet" for queue in QUEUES),
        "FAIL beat: not seen yet",
    ]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="an SQLite file has no clock but the machine's")
@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(hours=-1)])
@pytest.mark.usefixtures("all_well")
def test_the_clock_of_the_web_servers_machine_does_not_matter(client, monkeypatch, off):
    monkeypatch.setattr(timezone, "now", lambda now=timezone.now: now() + off)

    assert client.get("/readyz", headers=ANYWHERE).status_code == 200


@pytest.mark.usefixtures("all_well")
def test_whoever_asks_for_json_gets_it(client):
    Heartbeat.objects.filter(name=Heartbeat.BEAT).delete()

    answer = client.get("/readyz", headers={**ANYWHERE, "accept": "application/json"})

    assert answer.status_code == 503
    said = answer.json()
    assert said["ready"] is False
    assert [part for part in said["parts"] if not part["ready"]] == [
        {"name": "beat", "ready": False, "says": "not seen yet"}
    ]


@pytest.mark.usefixtures("all_well")
def test_a_database_that_waits_for_a_migration_is_asked_for_nothing_else(client):
    MigrationRecorder.Migration.objects.filter(app="jobsapi").delete()

    answer = client.get("/readyz", headers=ANYWHERE)

    assert answer.status_code == 503
    assert lines(answer)[-1] == "FAIL migrations: 1 to be applied"


@pytest.mark.usefixtures("migrated")
def test_a_site_that_needs_no_worker_is_ready_without_one(client, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher"}

    assert client.get("/readyz", headers=ANYWHERE).status_code == 200


@pytest.mark.usefixtures("all_well")
def test_it_costs_three_statements_and_the_time_however_often_it_is_asked(client, django_assert_num_queries):
    client.get("/readyz", headers=ANYWHERE)

    with django_assert_num_queries(4 if connection.vendor == "postgresql" else 3):
        client.get("/readyz", headers=ANYWHERE)
