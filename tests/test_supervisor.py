"""The supervisor, with real processes that are really killed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobsapi.portal.ports import free_ports
from jobsapi.portal.supervisor import Command, NotReady, PortTaken, ProcessDied, Supervisor
from tests.rig.eventually import eventually

SLEEP = "import time; time.sleep(600)"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "{SLEEP}"])
print(child.pid, flush=True)
child.wait()
"""
DEAF = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
{SLEEP}
"""
LISTENER = f"""
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
{SLEEP}
"""
DEMO = f"""
import sys
from pathlib import Path
from jobsapi.portal.ports import free_ports
from jobsapi.portal.supervisor import Command, StopRequested, Supervisor
with Supervisor(Path(sys.argv[1])) as supervisor:
    supervisor.heed_signals()
    try:
        parent = supervisor.start(Command(name="parent", argv=[sys.executable, "-c", {PARENT!r}]))
        supervisor.wait_until(parent, lambda: bool(parent.tail()))
        sleeper = supervisor.start(Command(name="sleeper", argv=[sys.executable, "-c", {SLEEP!r}]))
        print(supervisor._guardian.pid, parent.pid, sleeper.pid, parent.tail(), flush=True)
        {SLEEP}
    except StopRequested as request:
        print(request, flush=True)
"""


def python(name: str, source: str, *arguments: str, **options: object) -> Command:
    return Command(name=name, argv=[sys.executable, "-c", source, *arguments], **options)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "logs") as supervisor:
        yield supervisor


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a process of its own. It has printed the ids of guardian, two children and a grandchild."""
    with subprocess.Popen(
        [sys.executable, "-c", DEMO, str(tmp_path / "logs")], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as process:
        yield process
        process.kill()


def pids_of(demo: subprocess.Popen[str]) -> list[int]:
    assert demo.stdout is not None
    return [int(word) for word in demo.stdout.readline().split()]


def test_a_killed_process_is_started_again(supervisor):
    process = supervisor.start(python("sleeper", SLEEP, restart=True))
    first = process.pid
    os.kill(first, signal.SIGKILL)

    def restarted() -> bool:
        supervisor.tend()
        return process.pid != first and process.alive

    eventually(restarted)
    assert process.restarts == 1


def test_what_a_dead_process_left_behind_is_killed_before_it_is_started_again(supervisor):
    process = supervisor.start(python("parent", PARENT, restart=True))
    supervisor.wait_until(process, lambda: bool(process.tail()))
    orphan = int(process.tail())
    os.kill(process.pid, signal.SIGKILL)

    def gone() -> bool:
        supervisor.tend()
        return not lives(orphan)

    eventually(gone)


def test_a_process_that_must_not_end_is_reported_with_its_last_words(supervisor):
    process = supervisor.start(python("web", "raise SystemExit('no such settings')"))
    with pytest.raises(ProcessDied, match=r"web ended with status 1.*\n.*no such settings"):
        supervisor.wait_until(process, lambda: False)
    with pytest.raises(ProcessDied, match="no such settings"):
        supervisor.tend()


def test_a_process_that_never_becomes_ready_is_not_waited_for_for_ever(supervisor):
    process = supervisor.start(python("sleeper", SLEEP))
    with pytest.raises(NotReady, match="sleeper is running"):
        supervisor.wait_until(process, lambda: False, timeout=0.2)


def test_stop_leaves_no_child_and_no_grandchild_and_stops_the_last_started_first(tmp_path):
    told = tmp_path / "told"
    note = "import signal, sys, time\ndef note(*_):\n    open(sys.argv[1], 'a').write(sys.argv[2])\n    sys.exit()\n"
    note += "signal.signal(signal.SIGTERM, note)\nprint('ready', flush=True)\ntime.sleep(600)"
    with Supervisor(tmp_path / "logs") as supervisor:
        processes = [supervisor.start(python(name, note, str(told), name)) for name in "abc"]
        processes.append(supervisor.start(python("parent", PARENT)))
        for process in processes:
            supervisor.wait_until(process, lambda process=process: bool(process.tail()))
        pids = [*(process.pid for process in processes), int(processes[-1].tail())]
        assert all(map(lives, pids))
    eventually(lambda: not any(map(lives, pids)))
    assert told.read_text() == "cba"


def test_a_process_deaf_to_term_is_killed_after_its_grace(tmp_path):
    with Supervisor(tmp_path / "logs") as supervisor:
        process = supervisor.start(python("deaf", DEAF, grace=0.2))
        supervisor.wait_until(process, lambda: process.tail() == "deaf")
    assert process.exit_status == -signal.SIGKILL


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(demo, signum):
    pids = pids_of(demo)
    demo.send_signal(signum)
    assert demo.stdout.read() == f"{signum.name}\n"
    assert demo.wait(10) == 0
    assert not any(map(lives, pids))


def test_a_second_signal_does_not_wait_for_the_grace(tmp_path):
    source = DEMO.replace(repr(PARENT), repr(DEAF))
    with subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path / "logs")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        *pids, _ = process.stdout.readline().split()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "SIGINT\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
    assert not any(lives(int(pid)) for pid in pids)


def test_kill_9_of_the_supervisor_leaves_no_child_and_no_grandchild(demo):
    pids = pids_of(demo)
    demo.kill()
    eventually(lambda: not any(map(lives, pids)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills the children of a dead parent")
def test_kill_9_of_the_supervisor_and_of_its_guardian_leaves_no_child(demo):
    guardian, *children, grandchild = pids_of(demo)
    os.kill(guardian, signal.SIGKILL)
    demo.kill()
    eventually(lambda: not any(map(lives, children)))
    os.kill(grandchild, signal.SIGKILL)


def test_a_port_is_accepted_when_its_listener_is_the_process_itself(supervisor):
    [port] = free_ports(0)
    process = supervisor.start(python("listener", LISTENER, str(port)))
    supervisor.wait_listening(process, port)


def test_a_port_taken_by_a_stranger_is_refused(supervisor):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        process = supervisor.start(python("sleeper", SLEEP))
        with pytest.raises(PortTaken, match=f"Port {port} was meant for sleeper"):
            supervisor.wait_listening(process, port)


def test_a_stranger_on_all_addresses_is_seen_too(supervisor):
    with socket.create_server(("", 0)) as stranger:
        process = supervisor.start(python("sleeper", SLEEP))
        with pytest.raises(PortTaken):
            supervisor.wait_listening(process, stranger.getsockname()[1])


def test_free_ports_are_the_preferred_ones_unless_somebody_listens_on_them():
    first, second = free_ports(0, 0)
    assert free_ports(first, second) == [first, second]
    with socket.create_server(("127.0.0.1", first)):
        other, same = free_ports(first, second)
    assert other not in (0, first, second)
    assert same == second


def test_a_command_that_is_run_must_end_well(supervisor):
    supervisor.run(python("well", "print('done')"))
    with pytest.raises(ProcessDied, match="ended with status 3"):
        supervisor.run(python("badly", "raise SystemExit(3)"))
