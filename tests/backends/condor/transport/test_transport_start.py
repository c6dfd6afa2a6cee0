"""A command's input is sent along with the command."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import paramiko
import pytest

from jobsapi.backends.condor.transport.connection import BROKEN, Deadline, hear, start


class Host(paramiko.ServerInterface):
    """Lets everybody in, and looks whether more comes before it has granted a command."""

    def __init__(self, end: socket.socket, *, grants: bool) -> None:
        self.end = end
        self.grants = grants
        self.more = False

    def check_auth_none(self, username: str) -> int:
        return int(paramiko.common.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.common.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.more = bool(select.select([self.end], [], [], 5)[0])
        if self.grants:
            channel.send_exit_status(0)
            channel.shutdown_write()
        return self.grants


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[tuple[Host, paramiko.Channel]]:
    """A host, and a channel to it."""
    here, there = socket.socketpair()
    serving, client = paramiko.Transport(there), paramiko.Transport(here)
    host = Host(there, grants=request.param)
    try:
        serving.add_server_key(paramiko.ECDSAKey.generate())
        serving.start_server(server=host, event=threading.Event())
        client.start_client(timeout=10)
        client.auth_none("anybody")
        yield host, client.open_session(timeout=10)
    finally:
        client.close()
        serving.close()


@pytest.mark.parametrize("host", [True], indirect=True)
def test_the_input_of_a_command_does_not_wait_until_it_is_granted(host: tuple[Host, paramiko.Channel]) -> None:
    server, channel = host
    start(channel, b"cat")
    assert hear(channel, b"input", Deadline(20)) == (0, b"", b"")
    assert server.more


@pytest.mark.parametrize("host", [False], indirect=True)
def test_a_command_that_is_refused_is_broken(host: tuple[Host, paramiko.Channel]) -> None:
    _, channel = host
    start(channel, b"cat")
    with pytest.raises(BROKEN):
        hear(channel, b"input", Deadline(20))
