"""How commands and files get to a submit host: this machine, or one over SSH. paramiko is imported below here alone."""

from __future__ import annotations

import os
import threading
from typing import Any

from jobsapi.backends.condor.transport.base import Brought, CommandKilled, Completed, Tail, Transport
from jobsapi.backends.condor.transport.local import LocalTransport
from jobsapi.backends.condor.transport.login import Login
from jobsapi.backends.condor.transport.ssh import SshTransport

__all__ = [
    "Brought",
    "CommandKilled",
    "Completed",
    "LocalTransport",
    "SshTransport",
    "Tail",
    "Transport",
    "own_transport",
    "transport_of",
]


def transport_of(scheduler: Any) -> Transport:
    """The transport that this process keeps to a scheduler. Connects to nothing.

    Another host, port, login, key or host key makes another one. Raises ``BackendUnavailable`` for a row that makes no
    sense.
    """
    login = None if scheduler.is_local else Login.of(scheduler)
    with LOCK:
        process, known, transport = KEPT.get(scheduler.pk, (0, None, None))
        if transport is None or (process, known) != (os.getpid(), login):
            if process == os.getpid() and transport is not None:
                transport.close()  # who uses it may end what they do
            transport = LocalTransport() if login is None else SshTransport(login)
            KEPT[scheduler.pk] = os.getpid(), login, transport
        return transport


def own_transport(scheduler: Any) -> Transport:
    """A transport that nobody else uses; the caller closes it. Raises ``BackendUnavailable`` as ``transport_of``."""
    return LocalTransport() if scheduler.is_local else SshTransport(Login.of(scheduler))


LOCK = threading.Lock()
"""So that two threads which are the first to ask get the same one."""
os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)

KEPT: dict[Any, tuple[int, Login | None, Transport]] = {}
"""The transport to each scheduler, with the login that it was made for, and by which process."""
