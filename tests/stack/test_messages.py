"""What goes through the broker, and what Celery keeps."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import redis
from django.utils import timezone
from django_celery_results.models import TaskResult

from jobsapi.dispatch import enqueue
from tests.rig.services import valkey
from worker import app
from worker.celery import QUEUES
from worker.tasks import CeleryDispatcher, clean_up


@pytest.fixture
def queue():
    """A broker that nobody reads from: the messages in one of its queues."""
    before = app.conf.broker_url
    with valkey() as url, redis.Redis(unix_socket_path=url.removeprefix("redis+socket://")) as server:
        app.conf.broker_url = url
        app._pool = app.amqp._producer_pool = None
        CeleryDispatcher._resting_until = 0.0
        yield lambda name: [json.loads(message) for message in server.lrange(name, 0, -1)]
        app.conf.broker_url = before
        app._pool = app.amqp._producer_pool = None


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_message_is_a_verb_and_a_number_and_reads_as_its_job(queue):
    enqueue("submit", 27, "flood")

    (message,) = queue("submit")
    assert message["headers"]["task"] == "jobsapi.submit"
    assert message["headers"]["argsrepr"] == "(job 27: flood)"
    assert message["content-type"] == "application/json"
    assert "flood" not in str(message["body"])


def test_every_task_has_a_queue():
    routed = {f"jobsapi.{verb}" for verbs in QUEUES.values() for verb in verbs}

    assert {name for name in app.tasks if name.startswith("jobsapi.")} == routed


@pytest.mark.django_db
def test_old_task_results_are_removed_in_batches_and_new_ones_kept(settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "TASK_RESULT_DAYS": 7}
    for number in range(7):
        TaskResult.objects.create(task_id=str(number))
    TaskResult.objects.exclude(task_id="0").update(date_done=timezone.now() - timedelta(days=8))

    clean_up(batch=2)

    assert list(TaskResult.objects.values_list("task_id", flat=True)) == ["0"]
