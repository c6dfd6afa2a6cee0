"""A portal with telling secrets, which these tests attack and search."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from tests.security.portal import FASTER, SECRETS, portal


@pytest.fixture(scope="package")
def running_portal(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), portal() as running:
        yield running
    with django_db_blocker.unblock():  # what it has written since the last test emptied the database
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def attacked(transactional_db, running_portal, settings):
    """The portal, and this process as one of its web processes."""
    from worker import app
    from worker.tasks import CeleryDispatcher

    settings.JOBSAPI = {**settings.JOBSAPI, **FASTER, "SEALING_KEYS": [SECRETS["sealing"]]}
    before, app.conf.broker_url = app.conf.broker_url, running_portal.url
    app._pool = app.amqp._producer_pool = None  # so that Celery asks for the pools of the new address
    CeleryDispatcher._resting_until = 0.0
    yield running_portal
    app.conf.broker_url = before
    app._pool = app.amqp._producer_pool = None
