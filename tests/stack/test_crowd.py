"""Everything that the demo starts, with many who submit and read at once."""

from __future__ import annotations

import os
import sys

import pytest

from jobsapi.portal.demo import ROOT
from jobsapi.portal.supervisor import Command, Supervisor

pytestmark = pytest.mark.services

OURS = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "JOBSAPI_BROKER_URL", "JOBSAPI_VAR", "SECRET_KEY")
"""What pytest has set for itself; empty counts as unset."""


@pytest.mark.skipif("JOBSAPI_TEST_BROKER" in os.environ, reason="is about what comes with pip, SQLite above all")
def test_a_crowd_loses_no_job_and_meets_no_locked_database(tmp_path):
    argv = [sys.executable, "-m", "benchmarks.crowd", "--jobs", "60", "--submitters", "2", "--readers", "1"]
    with Supervisor(tmp_path / "logs") as supervisor:
        crowd = Command(name="crowd", argv=argv, cwd=ROOT, env=dict.fromkeys(OURS, ""), grace=30)

        supervisor.run(crowd, timeout=110)
