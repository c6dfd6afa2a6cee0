"""The pool that the HTCondor tests run on is real, ours alone, and gone when its starter is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.rig.condor import PASSPHRASE, SCRIPT, CondorPool, workspace
from tests.rig.eventually import eventually

pytestmark = pytest.mark.services

GREET = """\
executable = greet.sh
arguments = $(Process)
output = out.$(Process)
log = log
should_transfer_files = yes
queue 2
"""
SLEEP = "executable = /bin/sleep\narguments = 300\nqueue"
STARTER = """
import time
from tests.rig.condor import CondorPool
with CondorPool() as pool:
    print(pool.folder, pool._process.pid, flush=True)
    time.sleep(600)
"""


def submit(pool, folder, text):
    """Submit a description in ``folder``; returns the cluster id."""
    (folder / "job.submit").write_text(text)
    return int(pool.condor("condor_submit", "-terse", "job.submit", cwd=folder).split(".")[0])


def remove(pool, cluster):
    pool.condor("condor_rm", str(cluster))
    eventually(lambda: not pool.queue(str(cluster)))


def ssh(pool, command, key="ed25519", stdin=subprocess.DEVNULL, **options):
    login = pool.ssh
    settings = {"BatchMode": "yes", "UserKnownHostsFile": login.known_hosts, "IdentitiesOnly": "yes", **options}
    words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    target = ["-i", login.key(key), "-p", str(login.port), f"{login.user}@{login.host}", command]
    return subprocess.Popen(
        ["ssh", "-F", os.devnull, *words, *target],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_of(folder):
    """Those whose environment or arguments name a pool's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("CONDOR_CONFIG", "")]
        except psutil.Error:
            continue
        if any(str(folder) in word for word in words):
            found.append(process.pid)
    return found


def test_jobs_run_and_leave_their_outputs_where_they_were_submitted(condor_pool):
    with workspace() as folder:
        (folder / "greet.sh").write_text("#!/bin/sh\necho hello from $1, as $(id -un)\n")
        (folder / "greet.sh").chmod(0o755)
        cluster = submit(condor_pool, folder, GREET)
        eventually(lambda: len(condor_pool.history(str(cluster))) == 2, timeout=60)
        assert {ad["ExitCode"] for ad in condor_pool.history(str(cluster))} == {0}
        assert [(folder / f"out.{number}").read_text() for number in range(2)] == [
            f"hello from {number}, as {condor_pool.user}\n" for number in range(2)
        ]


def test_all_its_ports_are_on_loopback_alone(condor_pool):
    ours = set(processes_of(condor_pool.folder))
    listening = {one.laddr.ip for one in psutil.net_connections("inet") if one.status == "LISTEN" and one.pid in ours}
    assert listening == {"127.0.0.1"}


def test_a_schedd_that_is_killed_comes_back_with_its_queue(condor_pool):
    with workspace() as folder:
        cluster = submit(condor_pool, folder, SLEEP)
        before = condor_pool.schedd
        condor_pool.kill_schedd()
        eventually(condor_pool.is_ready, timeout=30)
        assert condor_pool.schedd != before
        assert [ad["ClusterId"] for ad in condor_pool.queue(str(cluster))] == [cluster]
        remove(condor_pool, cluster)


def test_a_frozen_schedd_answers_nobody_until_it_is_thawed(condor_pool):
    with condor_pool.frozen_schedd(), pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["condor_q"], env={**os.environ, **condor_pool.env}, check=True, timeout=1, capture_output=True)
    eventually(condor_pool.is_ready)


def test_without_a_schedd_there_is_no_queue_and_afterwards_there_is(condor_pool):
    with condor_pool.without_schedd():
        assert not condor_pool.is_ready()
    assert condor_pool.is_ready()


def test_a_job_that_has_left_can_be_made_unknown(condor_pool):
    with workspace() as folder:
        cluster = submit(condor_pool, folder, "executable = /bin/true\nqueue")
        eventually(lambda: condor_pool.history(str(cluster)), timeout=60)
    condor_pool.forget_history()
    assert condor_pool.history(str(cluster)) == []


@pytest.mark.parametrize("key", ["ed25519", "ecdsa", "rsa"])
def test_its_tools_are_found_over_ssh_with_a_key_of_any_type(condor_pool, key):
    session = ssh(condor_pool, "condor_q -totals && id -un", key)
    out, err = session.communicate(timeout=30)
    assert session.returncode == 0, err
    assert out.splitlines()[-1] == condor_pool.user


def test_the_key_with_a_passphrase_opens_with_it(condor_pool):
    key = condor_pool.ssh.key("rsa_pass")
    read = ["ssh-keygen", "-y", "-f", key, "-P"]
    assert subprocess.run([*read, PASSPHRASE], check=False, capture_output=True).returncode == 0
    assert subprocess.run([*read, "another"], check=False, capture_output=True).returncode != 0


@pytest.mark.skipif("os.geteuid() != 0", reason="only root's sshd can check passwords")
def test_it_takes_the_account_s_password_and_no_other(condor_pool, tmp_path):
    say = tmp_path / "say"
    say.write_text('#!/bin/sh\nprintf "%s\\n" "$ANSWER"\n')
    say.chmod(0o700)
    login = condor_pool.ssh
    command = [
        "ssh",
        "-F",
        os.devnull,
        "-o",
        f"UserKnownHostsFile={login.known_hosts}",
        "-o",
        "NumberOfPasswordPrompts=1",
    ]
    command += ["-o", "PubkeyAuthentication=no", "-p", str(login.port), f"{login.user}@{login.host}", "echo in"]
    for answer, status in ((login.password, 0), ("wrong", 255)):
        environment = {**os.environ, "SSH_ASKPASS": str(say), "SSH_ASKPASS_REQUIRE": "force", "ANSWER": answer}
        assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode == status


def test_the_host_key_that_it_tells_is_the_one_that_it_shows(condor_pool):
    assert condor_pool.ssh.host_key.startswith("ssh-ed25519 ")
    stranger = ssh(condor_pool, "true", StrictHostKeyChecking="yes", UserKnownHostsFile=os.devnull)
    assert "verification failed" in stranger.communicate(timeout=30)[1]


def test_a_connection_that_is_cut_ends_and_the_next_one_works(condor_pool):
    session = ssh(condor_pool, "echo there; cat", stdin=subprocess.PIPE)
    assert session.stdout.readline() == "there\n"
    assert condor_pool.ssh_connections == 1
    assert condor_pool.cut_ssh() > 0
    session.communicate(timeout=10)
    assert session.returncode == 255
    assert ssh(condor_pool, "echo again").communicate(timeout=30)[0] == "again\n"


def test_a_frozen_submit_host_takes_a_connection_and_says_nothing(condor_pool):
    login = condor_pool.ssh
    address = (login.host, login.port)
    with condor_pool.frozen_ssh(), socket.create_connection(address, timeout=1) as silent, pytest.raises(TimeoutError):
        silent.recv(1)
    with socket.create_connection(address, timeout=5) as connection:
        assert connection.recv(4) == b"SSH-"


def test_pools_that_run_at_the_same_time_know_nothing_of_each_other(condor_pool):
    with CondorPool(slots=1) as other, workspace() as folder:
        cluster = submit(other, folder, SLEEP)
        assert [ad["ClusterId"] for ad in other.queue()] == [cluster]
        mine = {ad["GlobalJobId"] for ad in condor_pool.queue()}
        assert not mine & {ad["GlobalJobId"] for ad in other.queue()}
        assert other.ssh.port != condor_pool.ssh.port
    assert condor_pool.is_ready()


def test_it_is_gone_with_its_jobs_when_its_starter_and_what_that_started_are_killed(tmp_path):
    root = Path(__file__).resolve().parents[2]
    settings = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], cwd=root, env=settings, stdout=subprocess.PIPE, text=True
    ) as starter:
        folder, runner = starter.stdout.readline().split()
        with workspace() as place:
            (place / "job.submit").write_text(SLEEP)
            environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
            subprocess.run(["condor_submit", "job.submit"], cwd=place, env=environment, check=True, capture_output=True)
            busy = ["condor_q", "-run", "-af", "RemoteHost"]
            eventually(
                lambda: subprocess.run(busy, env=environment, check=True, capture_output=True).stdout, timeout=30
            )
            assert len(processes_of(folder)) > 7
            starter.kill()
            eventually(lambda: not psutil.pid_exists(int(runner)))
            eventually(lambda: not processes_of(folder), timeout=60)
    subprocess.run(["rm", "-rf", folder], check=True)


def test_a_port_that_somebody_else_has_is_refused_when_it_must_be_that_one_and_left_alone_otherwise(tmp_path):
    tmp_path.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as stranger, CondorPool(ssh=False) as pool:
        port = stranger.getsockname()[1]
        settings = {**pool._settings, "HTCONDOR_POOL_PORT": str(port), "HTCONDOR_POOL_HOME": str(pool.folder / "b")}
        refused = subprocess.run([SCRIPT, "start"], env=settings, check=False, capture_output=True, text=True)
        assert refused.returncode != 0
        assert f"port {port} of 127.0.0.1 is taken" in refused.stderr

        (pool.folder / "b" / "port").write_text(f"{port}\n")  # the one that it had last time
        settings["HTCONDOR_POOL_PORT"] = "0"
        subprocess.run([SCRIPT, "start"], env=settings, check=True, capture_output=True)
        assert int((pool.folder / "b" / "port").read_text()) != port
        subprocess.run([SCRIPT, "purge"], env=settings, check=True, capture_output=True)
        assert processes_of(pool.folder / "b") == []


@pytest.mark.parametrize(("ci", "end"), [("false", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_where_it_cannot_be_had_its_tests_say_why_and_ci_fails(monkeypatch, ci, end):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("HTCONDOR_POOL_INSTALL", "/proc/nowhere")
    with pytest.raises(end, match="HTCondor is not to be had here: mkdir: cannot create directory"), CondorPool():
        pytest.fail("There is no such folder.")


def test_what_it_does_not_know_is_answered_with_what_it_does():
    helped = subprocess.run([SCRIPT, "dance"], check=False, capture_output=True, text=True)
    assert helped.returncode == 2
    assert "htcondor-pool install" in helped.stderr
