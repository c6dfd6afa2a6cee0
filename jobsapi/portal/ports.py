"""Ports on loopback: which are free, and who listens on one."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path


def free_ports(*preferred: int) -> list[int]:
    """As many different ports: each the preferred one if nobody uses it on 127.0.0.1, otherwise any that is free.

    Somebody may still take one first: check with ``Supervisor.wait_listening``.
    """
    with contextlib.ExitStack() as probes:
        return [_bound_port(probes.enter_context(socket.socket()), port) for port in preferred]


def _bound_port(probe: socket.socket, preferred: int) -> int:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", preferred))
    except OSError:
        probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    return port


def listens(group: int, port: int) -> bool | None:
    """True when only processes of ``group`` listen on 127.0.0.1:``port``, False when others do, None when nobody."""
    try:
        sockets = {row for table in ("tcp", "tcp6") for row in _listeners(Path("/proc/net", table), port)}
    except FileNotFoundError:
        with socket.socket() as probe:
            probe.settimeout(1)
            return True if probe.connect_ex(("127.0.0.1", port)) == 0 else None
    return sockets <= _sockets_of(group) if sockets else None


def _listeners(table: Path, port: int) -> Iterator[str]:
    """``socket:[inode]`` of each listener that a connection to 127.0.0.1:``port`` could reach; see proc_net_tcp(5)."""
    if table.name == "tcp6" and not table.exists():  # no IPv6 in this kernel
        return
    for line in table.read_text().splitlines()[1:]:
        columns = line.split()
        local, state, inode = columns[1], columns[3], columns[9]
        address, hexport = local.split(":")
        if state == "0A" and int(hexport, 16) == port and _reaches_loopback(bytes.fromhex(address)):
            yield f"socket:[{inode}]"


def _reaches_loopback(address: bytes) -> bool:
    """Whether a socket bound to ``address``, in the kernel's order of bytes, hears 127.0.0.1."""
    last = address[-4:] if sys.byteorder == "big" else address[-4:][::-1]
    return not any(address) or last == bytes((127, 0, 0, 1))


def _sockets_of(group: int) -> set[str]:
    """The sockets that processes of ``group`` hold."""
    found: set[str] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
                if os.getpgid(int(entry.name)) == group:
                    found.update(os.readlink(descriptor) for descriptor in (entry / "fd").iterdir())
    return found
