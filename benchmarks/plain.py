"""HTCondor as it is used without jobsapi: condorpy's own polling, one job at a time, and bare ``condor_submit``."""

from __future__ import annotations

import logging
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from condorpy import Job
from condorpy.remote_utils import RemoteClient

from tests.rig.condor import Login

logging.getLogger("condorpy").setLevel(logging.WARNING)
logging.getLogger("paramiko").setLevel(logging.WARNING)


@contextmanager
def connected(login: Login) -> Iterator[RemoteClient]:
    """A connection of condorpy's, for any number of jobs; it reads RSA keys only.

    Small packets are sent at once, as OpenSSH does: without that, which is how condorpy leaves it, each command takes
    40 ms more.
    """
    client = RemoteClient(login.host, login.user, private_key=str(login.key("rsa")), port=login.port)
    try:
        client.transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client
    finally:
        client.close()


def status(cluster: int, through: RemoteClient | None = None) -> str:
    """What condorpy says of one job, by ``condor_q && condor_history``, here or ``through`` a connection."""
    job = Job("plain")
    job._cluster_id, job._remote = cluster, through
    said: str = job.status
    return said


def status_anew(cluster: int, login: Login) -> str:
    """The same over a connection of its own, as condorpy makes one for each job that is made with a host."""
    job = Job("plain")
    job.set_scheduler(login.host, login.user, private_key=str(login.key("rsa")), port=login.port)
    job._cluster_id = cluster
    said: str = job.status
    job._remote.close()
    return said


def submit(command: Sequence[str], folder: str, through: RemoteClient | None = None) -> None:
    """One ``condor_submit``. The words are the benchmark's own, and safe for a shell."""
    if through is None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    else:
        through.execute(f"cd {folder} && {' '.join(command)}")
