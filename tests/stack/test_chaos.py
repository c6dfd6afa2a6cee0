"""A short fault campaign: the same code as ``make chaos``, with few jobs and few of the faults."""

from __future__ import annotations

import os
import sys

import pytest

from jobsapi.portal.demo import ROOT
from jobsapi.portal.supervisor import Command, Supervisor
from tests.stack.test_crowd import OURS

pytestmark = pytest.mark.services

FAULTS = "both workers,loss of all messages,PostgreSQL is,SQLite is,of a Dask worker,named point of a worker,duplicated"


def test_forty_jobs_survive_what_breaks_under_them(tmp_path):
    database = "postgresql" if "JOBSAPI_TEST_BROKER" in os.environ else "sqlite"
    argv = [sys.executable, "-m", "tests.chaos", "--jobs", "40", "--seed", "7", "--turns", "6", "--faults", FAULTS]
    options = ["--without-htcondor", "--database", database]
    with Supervisor(tmp_path / "logs") as supervisor:
        campaign = Command(name="chaos", argv=[*argv, *options], cwd=ROOT, env=dict.fromkeys(OURS, ""), grace=30)

        supervisor.run(campaign, timeout=110)
