"""One connection is kept, by everybody who asks for the same, and a cut is survived."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobsapi.backends.condor.transport import KEPT, LocalTransport, SshTransport, transport_of
from jobsapi.backends.condor.transport.login import Login
from jobsapi.backends.condor.transport.upload import PACKED_MAX
from jobsapi.exceptions import BackendUnavailable
from tests.backends.condor.transport.rig import Row, Sshd, clogged, new_folder, running, sshd
from tests.rig.condor import CondorPool
from tests.rig.eventually import eventually

pytestmark = pytest.mark.services


@pytest.fixture
def own_server(condor_pool: CondorPool) -> Iterator[Sshd]:
    """An sshd for a test that hurts it."""
    with sshd(condor_pool.user) as server:
        yield server


def says(transport: SshTransport, word: str = "hello", timeout: float = 5) -> str:
    return transport.run(["echo", word], folder=None, timeout=timeout).out.strip()


@pytest.mark.parametrize(("host", "username"), [("", ""), ("", "ada"), ("localhost", "")])
def test_an_empty_host_or_localhost_without_a_user_is_this_machine(host: str, username: str) -> None:
    assert isinstance(transport_of(Row(host=host, username=username)), LocalTransport)


@pytest.mark.parametrize(("host", "username"), [("localhost", "ada"), ("127.0.0.1", ""), ("cluster", "ada")])
def test_any_other_host_is_reached_over_ssh(host: str, username: str) -> None:
    assert isinstance(transport_of(Row(host=host, username=username)), SshTransport)


def test_a_scheduler_has_one_transport_in_a_process(server: Sshd) -> None:
    row = server.row()
    transport = transport_of(row)
    assert transport_of(server.row(pk=row.pk)) is transport
    assert transport_of(server.row(pk=row.pk + 1000)) is not transport


@pytest.mark.parametrize(
    "change",
    [
        {"password": "new"},
        {"host_key": "ssh-ed25519 new"},
        {"port": 23},
        {"host": "elsewhere"},
        {"username": "ada"},
        {"private_key_path": "/new"},
        {"private_key_pass": "new"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_needed_to_connect_makes_another_transport(server: Sshd, change: dict[str, object]) -> None:
    row = server.row()
    before = transport_of(row)
    after = transport_of(server.row(pk=row.pk, **change))
    assert after is not before
    assert before not in [transport for _, _, transport in KEPT.values()]  # nor its password


def test_many_commands_use_one_connection(ssh: SshTransport) -> None:
    for _ in range(5):
        says(ssh)
    ssh.read(["nothing"], limit=10)
    ssh.open()
    assert ssh.exchanges == {"connect": 1, "run": 5, "read": 1}


def test_a_connection_that_was_cut_between_two_commands_is_replaced_in_silence(own_server: Sshd) -> None:
    transport = own_server.transport()
    assert says(transport, "before") == "before"
    own_server.cut()
    assert says(transport, "after") == "after"
    assert transport.exchanges["connect"] == 2
    transport.close()


def test_a_connection_that_fell_silent_between_two_commands_is_replaced_in_silence(own_server: Sshd) -> None:
    # Given a connection whose server does nothing any more, though a new one would be served
    transport = own_server.transport(timeout="3")
    says(transport)
    silent = own_server.sessions
    for process in silent:
        process.suspend()

    # Then a command is late, and runs once
    assert says(transport, "after") == "after"
    assert transport.exchanges == {"connect": 2, "run": 2}
    for process in silent:
        process.resume()
    transport.close()


def test_a_cut_in_the_middle_of_a_command_is_unavailable_and_the_next_one_connects(own_server: Sshd) -> None:
    transport, word = own_server.transport(), "6" + str(uuid.uuid4().int)[:8]
    threading.Thread(target=lambda: eventually(lambda: running(word)) and own_server.cut()).start()
    with pytest.raises(BackendUnavailable, match="broke"):
        transport.run(["sleep", word], folder=None, timeout=4)
    assert says(transport) == "hello"
    transport.close()


def test_a_command_whose_connection_is_cut_ends_at_its_time_out(own_server: Sshd) -> None:
    transport, word = own_server.transport(), "7" + str(uuid.uuid4().int)[:8]

    threading.Thread(target=lambda: eventually(lambda: running(word)) and own_server.cut()).start()
    with pytest.raises(BackendUnavailable, match="broke"):
        transport.run(["sleep", word], folder=None, timeout=3)
    assert running(word)
    eventually(lambda: not running(word))
    transport.close()


def test_a_host_that_freezes_in_the_middle_of_a_command_costs_the_commands_time_out(own_server: Sshd) -> None:
    transport = own_server.transport(timeout="2")
    says(transport)
    with own_server.frozen():
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match=r"did not answer|broke"):
            says(transport, timeout=1)
        assert time.monotonic() - began < 4
    eventually(lambda: says(transport) == "hello")
    transport.close()


def test_a_host_that_freezes_while_a_command_runs_costs_the_commands_time_out(own_server: Sshd) -> None:
    transport, word = own_server.transport(timeout="30"), "8" + str(uuid.uuid4().int)[:8]
    frozen = own_server.frozen()
    threading.Thread(target=lambda: eventually(lambda: running(word)) and frozen.__enter__()).start()
    began = time.monotonic()
    with pytest.raises(BackendUnavailable, match="sleep did not answer in time"):
        transport.run(["sleep", word], folder=None, timeout=2)
    assert time.monotonic() - began < 5
    frozen.__exit__(None, None, None)
    transport.close()


def test_an_sshd_that_was_restarted_is_found_again(own_server: Sshd) -> None:
    transport = own_server.transport()
    says(transport)
    own_server.stop()
    with pytest.raises(BackendUnavailable, match="cannot be reached over SSH: Connection refused"):
        eventually(lambda: says(transport) is None)
    own_server.start()
    assert says(transport) == "hello"
    transport.close()


def test_a_connection_that_nobody_uses_is_closed(server: Sshd) -> None:
    transport = SshTransport(Login.of(server.row()), idle_close=0.5)
    before = len(server.sessions)
    says(transport)
    assert len(server.sessions) > before
    eventually(lambda: len(server.sessions) <= before)
    assert says(transport) == "hello"
    assert transport.exchanges["connect"] == 2
    transport.close()


def test_a_connection_that_is_in_use_is_not_closed_for_being_idle(server: Sshd) -> None:
    transport = SshTransport(Login.of(server.row()), idle_close=0.5)
    assert transport.run(["sh", "-c", "sleep 2; echo still there"], folder=None, timeout=10).out == "still there\n"
    transport.close()


def test_closing_lets_other_threads_end_what_they_do(server: Sshd) -> None:
    transport, word = server.transport(), uuid.uuid4().hex
    before = len(server.sessions)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(transport.run, ["sh", "-c", "sleep 1; echo done", word], folder=None, timeout=10)
        eventually(lambda: running(word))
        transport.close()
        assert slow.result().out == "done\n"
    eventually(lambda: len(server.sessions) <= before)


def test_a_host_without_sftp_takes_small_files_and_says_so_of_large_ones(
    condor_pool: CondorPool, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(b"x" * PACKED_MAX)
    with sshd(condor_pool.user, "Subsystem nothing /bin/false\n") as server:
        transport = server.transport()
        folder = new_folder(transport, tmp_path)
        transport.stage(folder, texts={"x": "x"}, folders=[], inputs={})
        with pytest.raises(BackendUnavailable, match="SFTP is not allowed"):
            transport.stage(folder, texts={}, folders=[], inputs={"large": tmp_path / "large"})
        assert transport.run(["ls", "-A"], folder=folder, timeout=10).out == "x\n"
        transport.remove([folder])
        assert transport.exchanges["connect"] == 1
        transport.close()


def test_an_sftp_session_that_the_host_has_ended_is_replaced_in_silence(
    own_server: Sshd, ssh: SshTransport, own_folder: str, tmp_path: Path
) -> None:
    # Given a connection with an SFTP session that is kept
    (tmp_path / "large").write_bytes(os.urandom(2 * PACKED_MAX))
    ssh.stage(own_folder, texts={}, folders=[], inputs={"large": tmp_path / "large"})
    transport = own_server.transport()
    transport.bring(own_folder, tmp_path / "home-1")

    # When the host ends that, and not the connection (sshd: ChannelTimeout)
    transport._connection._link._spare[0].get_channel().close()

    # Then the next one does not notice
    transport.bring(own_folder, tmp_path / "home-2")
    assert (tmp_path / "home-2" / "large").read_bytes() == (tmp_path / "large").read_bytes()
    assert transport.exchanges["connect"] == 1
    transport.close()


def test_a_host_that_is_slow_for_a_while_cuts_nobody_off(own_server: Sshd) -> None:
    # Given a command that runs
    transport, word = own_server.transport(timeout="4"), uuid.uuid4().hex
    with ThreadPoolExecutor(2) as pool:
        running_one = pool.submit(transport.run, ["sh", "-c", "sleep 1; echo done", word], folder=None, timeout=10)
        eventually(lambda: running(word))

        # When the host does nothing for so long that another one gives up on the connection
        with own_server.frozen():
            other = pool.submit(says, transport, "hello", 10)
            eventually(lambda: transport._connection._link is None)

        # Then it takes another, and the first ends well
        assert running_one.result().out == "done\n"
        assert other.result() == "hello"
    assert transport.exchanges == {"connect": 2, "run": 2}
    transport.close()


def test_a_host_that_takes_in_nothing_more_costs_the_commands_time_out(server: Sshd, settings: Any) -> None:
    settings.JOBSAPI = {**settings.JOBSAPI, "TRANSFER_TIMEOUT": 20.0}
    with clogged(server.port, 200_000) as port:
        # Given little room on this side, as there is on a long line
        transport = server.transport(port=port, timeout="2")
        transport.open()
        transport._connection._link.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)

        # Then what cannot be sent is given up in time
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="cat did not answer in time"):
            transport.run(["cat"], folder=None, timeout=1, input=bytes(4_000_000))
        assert time.monotonic() - began < 8
        transport.close()


def test_connections_that_broke_or_were_closed_leave_no_thread_and_no_descriptor(own_server: Sshd) -> None:
    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    transport = own_server.transport()
    says(transport)
    threads, descriptors = left()
    for _ in range(10):
        own_server.cut()
        says(transport)
        other = own_server.transport()
        says(other)
        other.close()
    assert transport.exchanges["connect"] == 11
    eventually(lambda: left()[0] <= threads and left()[1] <= descriptors)
    transport.close()


def test_a_closed_transport_connects_again(ssh: SshTransport) -> None:
    says(ssh)
    ssh.close()
    assert says(ssh) == "hello"
    assert ssh.exchanges["connect"] == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_has_a_connection_of_its_own_and_does_not_disturb_its_parents(server: Sshd, tmp_path: Path) -> None:
    row = server.row()
    transport = transport_of(row)
    says(transport)
    child = os.fork()
    if not child:
        try:
            own = transport_of(row)
            words = [str(own is transport), says(own, "child"), says(transport, "old")]
            own.close()
            transport.close()
            (tmp_path / "said").write_text(" ".join(words))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "said").read_text() == "False child old"
    assert says(transport, "parent") == "parent"
    assert transport.exchanges["connect"] == 1
    transport.close()


def test_a_host_that_allows_one_session_at_a_time_is_used_by_turns(condor_pool: CondorPool, tmp_path: Path) -> None:
    # Given files so large that they need a session of their own beside that of commands
    (tmp_path / "large").write_bytes(os.urandom(2 * PACKED_MAX))
    with sshd(condor_pool.user, "MaxSessions 1\n") as server:
        transport = server.transport()
        folders = [new_folder(transport, tmp_path) for _ in range(2)]

        def there_and_back(folder: str) -> bytes:
            transport.stage(folder, texts={}, folders=[], inputs={"large": tmp_path / "large"})
            home = tmp_path / os.path.basename(folder)
            transport.bring(folder, home)
            return (home / "large").read_bytes()

        # Then two threads wait for each other, on one connection
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(there_and_back, folders)) == [(tmp_path / "large").read_bytes()] * 2
        transport.remove(folders)
        assert transport.exchanges["connect"] == 1
        transport.close()


def test_a_host_that_allows_no_further_session_says_so(condor_pool: CondorPool) -> None:
    with sshd(condor_pool.user, "MaxSessions 1\n") as server:
        transport, word = server.transport(timeout="1"), "9" + str(uuid.uuid4().int)[:8]
        slow = threading.Thread(target=lambda: transport.run(["sh", "-c", "sleep 4", word], folder=None, timeout=10))
        slow.start()
        eventually(lambda: running(word))
        with pytest.raises(BackendUnavailable, match="refuses another session"):
            says(transport)
        slow.join()
        assert transport.exchanges["connect"] == 1
        transport.close()
