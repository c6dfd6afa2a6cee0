"""The real thing: a broker, a Dask cluster, the two Celery workers and beat, on the database of the tests."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.db.models import Q

from tests.rig.brokers import own_broker
from tests.rig.dask import DaskCluster
from tests.rig.eventually import eventually
from tests.rig.services import all_ready, celery_workers, database_url

WORKER_SETTINGS = {
    "REFRESH_INTERVAL": 0.3,
    "RESCUE_INTERVAL": 1.0,
    "QUIET_AFTER": 3.0,
    "LEASE": 2.0,
    "SUBMIT_TIMEOUT": 2.0,
    "LOST_GRACE": 1.0,
}
"""Everything that a user would wait for, faster."""


@pytest.fixture(scope="package")
def broker():
    """To which this process publishes, as a web process does."""
    from worker import app

    with own_broker() as broker:
        app.conf.broker_url = broker.url
        yield broker
        app.pool.force_close_all()


@pytest.fixture
def publish_to(broker):
    """Have this process publish elsewhere for a while, to a broker that has not failed yet."""
    from worker import app
    from worker.tasks import CeleryDispatcher

    before = app.conf.broker_url

    def publish_to(url):
        app.conf.broker_url = url
        app._pool = app.amqp._producer_pool = None  # so that Celery asks for the pools of the new address
        CeleryDispatcher._resting_until = 0.0

    yield publish_to
    publish_to(before)


@pytest.fixture(scope="package")
def cluster():
    """Two Dask workers, for tests that leave them alive."""
    with DaskCluster(workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def worker_environment(broker, django_db_setup):
    return {
        "DATABASE_URL": database_url(),
        "JOBSAPI_BROKER_URL": broker.url,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "JOBSAPI_TEST_SETTINGS": json.dumps(WORKER_SETTINGS),
    }


@pytest.fixture(scope="package")
def running_workers(worker_environment, django_db_blocker):
    with celery_workers(worker_environment, beat=True) as supervisor:
        yield supervisor
    with django_db_blocker.unblock():  # what they have written since the last test emptied the database
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def workers(running_workers):
    """The Celery workers and beat that tests share. They may be killed: the next test finds all of them ready."""
    all_ready(running_workers)
    return running_workers


@pytest.fixture
def publishing(transactional_db, settings, broker):
    """This process has the workers' settings and publishes to their broker, which has not failed yet."""
    from worker.tasks import CeleryDispatcher

    settings.JOBSAPI = {**settings.JOBSAPI, **WORKER_SETTINGS}
    CeleryDispatcher._resting_until = 0.0


@pytest.fixture
def dask(publishing, cluster):
    """A row for the real cluster. The test has not ended before nothing of its jobs is left there."""
    from jobsapi.compute import create_dask_scheduler
    from jobsapi.models import Job

    row = create_dask_scheduler("cluster", cluster.address)
    row.save()
    yield row
    busy = Q(completion_time=None, submission_id__isnull=False) | Q(cleanup_pending=True)
    eventually(lambda: not Job._base_manager.filter(busy, scheduler=row).exists(), timeout=30)
