"""Transports to this machine and to an sshd, and the folders of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobsapi.backends.condor.transport import LocalTransport, SshTransport, Transport
from jobsapi.exceptions import BackendUnavailable
from tests.backends.condor.transport.rig import Sshd, new_folder, sshd
from tests.rig.condor import CondorPool


@pytest.fixture(scope="module")
def server(condor_pool: CondorPool) -> Iterator[Sshd]:
    """An sshd for the tests of a module. Leave it running."""
    with sshd(condor_pool.user) as server:
        yield server


@pytest.fixture
def ssh(server: Sshd) -> Iterator[SshTransport]:
    transport = server.transport()
    yield transport
    transport.close()


@pytest.fixture(params=["local", "ssh"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each test runs with either."""
    return LocalTransport() if request.param == "local" else request.getfixturevalue("ssh")


@pytest.fixture
def workspace(tmp_path: Path, settings: Any) -> Path:
    """A job's workspace on this machine."""
    settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": str(tmp_path / "root")}
    path = tmp_path / "root" / "app" / "user-1"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def own(transport: Transport, workspace: Path) -> Iterator[str]:
    """The path of a job's own folder, not there yet."""
    path = new_folder(transport, workspace)
    yield path
    with suppress(BackendUnavailable):
        transport.remove([path])


@pytest.fixture
def own_folder(ssh: SshTransport, workspace: Path) -> Iterator[str]:
    """As ``own``, always over SSH."""
    path = new_folder(ssh, workspace)
    yield path
    with suppress(BackendUnavailable):
        ssh.remove([path])


@pytest.fixture
def shell(transport: Transport) -> Callable[..., str]:
    """Runs a shell command where the transport leads, and gives what it prints."""

    def run(script: str, *args: str, folder: str | None = None) -> str:
        done = transport.run(["sh", "-c", script, "sh", *args], folder=folder, timeout=20)
        assert done.status == 0, done
        return done.out

    return run
