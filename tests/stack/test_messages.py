"""What goes through the broker, and what Celery keeps."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_results.models import TaskResult

from jobsapi.dispatch import enqueue
from tests.rig.brokers import own_broker
from worker import app
from worker.celery import QUEUES, defaults
from worker.tasks import clean_up


@pytest.fixture
def queue(publish_to):
    """A broker that nobody reads from: the messages in one of its queues."""
    with own_broker() as broker, broker.client() as client:
        publish_to(broker.url)
        yield lambda name: [json.loads(message) for message in client.lrange(name, 0, -1)]


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

    answered_on_each = {"jobsapi.answer"}  # beat sends it to every queue, by name
    assert {name for name in app.tasks if name.startswith("jobsapi.")} - answered_on_each == routed


def test_a_message_does_not_come_back_while_the_longest_call_may_last(settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_TIMEOUT": 3600.0}

    assert defaults()["broker_transport_options"]["visibility_timeout"] > 3600


@pytest.mark.django_db
def test_old_task_results_are_removed_in_batches_and_new_ones_kept(settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "TASK_RESULT_DAYS": 7}
    for number in range(7):
        TaskResult.objects.create(task_id=str(number))
    TaskResult.objects.exclude(task_id="0").update(date_done=timezone.now() - timedelta(days=8))

    clean_up(batch=2)

    assert list(TaskResult.objects.filter(task_id__in=range(7)).values_list("task_id", flat=True)) == ["0"]
