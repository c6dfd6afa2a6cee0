"""Real workers go by the database's clock."""

import pytest

from tests.rig.services import process

pytestmark = pytest.mark.services


@pytest.mark.parametrize("name", ["celery-control", "celery-work"])
def test_a_worker_keeps_the_databases_time_from_before_its_first_task(workers, name):
    said = process(workers, name).log.read_text()

    kept, ready = said.index("This process goes by the database's clock."), said.index(" ready.")
    assert kept < ready
