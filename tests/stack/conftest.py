"""The real thing: Valkey, a Dask cluster, the two Celery workers and beat, on the database of the tests."""

from __future__ import annotations

import json

import pytest

from tests.rig.dask import DaskCluster
from tests.rig.services import celery_workers, database_url, valkey

WORKER_SETTINGS = {
    "REFRESH_INTERVAL": 0.3,
    "RESCUE_INTERVAL": 1.0,
    "LEASE": 2.0,
    "SUBMIT_TIMEOUT": 2.0,
    "LOST_GRACE": 1.0,
}
"""Everything that a user would wait for, faster."""


@pytest.fixture(scope="session")
def broker():
    """A Valkey server, to which this process publishes as a web process does."""
    from worker import app

    with valkey() as url:
        app.conf.broker_url = url
        yield url
        app.pool.force_close_all()


@pytest.fixture(scope="module")
def cluster():
    with DaskCluster(workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def worker_environment(broker, django_db_setup):
    return {
        "DATABASE_URL": database_url(),
        "JOBSAPI_BROKER_URL": broker,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "JOBSAPI_TEST_SETTINGS": json.dumps(WORKER_SETTINGS),
    }


@pytest.fixture(scope="module")
def workers(worker_environment):
    with celery_workers(worker_environment, beat=True) as supervisor:
        yield supervisor


@pytest.fixture
def publishing(transactional_db, settings, broker):
    """This process has the workers' settings and publishes to their broker."""
    settings.JOBSAPI = {**settings.JOBSAPI, **WORKER_SETTINGS}


@pytest.fixture
def dask(publishing, cluster):
    """A row for the real cluster."""
    from jobsapi.compute import create_dask_scheduler

    row = create_dask_scheduler("cluster", cluster.address)
    row.save()
    return row
