"""An sshd of our own for the tests of the transports, which they may freeze, cut and starve."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from jobsapi.backends.condor.transport import SshTransport
from jobsapi.backends.condor.transport.login import Login
from jobsapi.models import CondorScheduler
from jobsapi.portal.supervisor import Command, Process, Supervisor
from tests.rig.ports import kept_port
from tests.rig.services import folder, missing

PORTAL = "transport-tests"
SFTP_SERVER = "/usr/lib/openssh/sftp-server"
"""Where Debian has it. It is started by way of the login shell, which OpenSSH's internal one is not."""
PASSPHRASE = "a passphrase, with ünïcode"
numbers = itertools.count(1)


@dataclass
class Row:
    """What a transport reads of a CondorScheduler."""

    host: str = "127.0.0.1"
    port: int = 22
    username: str = ""
    password: str = ""
    private_key_path: str = ""
    private_key_pass: str = ""
    host_key: str = ""
    timeout: str = "10"
    name: str = "submit host"
    pk: int = field(default_factory=lambda: next(numbers))

    is_local = CondorScheduler.is_local


class Sshd:
    """A server on loopback, with keys of its own; it lets one account in."""

    def __init__(self, home: Path, port: int, supervisor: Supervisor, user: str, options: str = "") -> None:
        self.home, self.port, self.user = home, port, user
        self.host_key = self.make_key("host_ed25519", "ed25519")
        self.make_key("host_rsa", "rsa")
        self.make_key("host_ecdsa", "ecdsa")
        self.key = self.make_key("id_ed25519", "ed25519", authorize=True)
        config = home / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nPidFile none\nStrictModes no\nUseDNS no\nUsePAM no\n"
            f"AuthorizedKeysFile {home}/authorized\nKbdInteractiveAuthentication no\nPrintMotd no\n"
            f"LoginGraceTime 600\nMaxStartups 100\n"
            + ("" if "MaxSessions" in options else "MaxSessions 100\n")
            + ("" if "Subsystem" in options else "Subsystem sftp internal-sftp\n")
            + "".join(f"HostKey {home}/host_{kind}\n" for kind in ("ed25519", "rsa", "ecdsa"))
            + options
        )
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            missing("There is no sshd: run scripts/install-test-services")
        self._supervisor = supervisor
        self._command = Command(name="sshd", argv=[program, "-D", "-e", "-f", str(config)])
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.process: Process = self._supervisor.start(self._command)
        self._supervisor.wait_listening(self.process, self.port)

    def stop(self) -> None:
        """Listen no more, and cut all connections."""
        listener = psutil.Process(self.process.pid)
        self.cut()
        listener.kill()
        self.process.alive  # noqa: B018

    def make_key(self, name: str, kind: str, *options: str, passphrase: str = "", authorize: bool = False) -> Path:
        """A new key; ``authorize``: the account can be logged in to with it."""
        path = self.home / name
        command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path), *options]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        if authorize:
            with open(self.home / "authorized", "a") as authorized:
                authorized.write(path.with_name(f"{name}.pub").read_text())
        return path

    def public(self, name: str = "host_ed25519") -> str:
        """A key as a scheduler's row has it."""
        return " ".join((self.home / f"{name}.pub").read_text().split()[:2])

    def row(self, **changes: Any) -> Row:
        """The row of a scheduler that can be reached."""
        return replace(
            Row(port=self.port, username=self.user, private_key_path=str(self.key), host_key=self.public()), **changes
        )

    def transport(self, **changes: Any) -> SshTransport:
        """A transport that nobody else has, to be closed by the caller."""
        return SshTransport(Login.of(self.row(**changes)))

    @property
    def sessions(self) -> list[psutil.Process]:
        """The processes of connections, and what runs in them."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def cut(self) -> None:
        """Kill all connections. What runs in them goes on."""
        for process in self.sessions:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith("sshd"):
                    process.kill()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """All connections, and the listener, neither read nor write any more."""
        processes = [psutil.Process(self.process.pid), *self.sessions]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()


@contextlib.contextmanager
def sshd(user: str, options: str = "") -> Iterator[Sshd]:
    """An sshd in a folder of its own; ``options`` are added to its configuration."""
    with folder() as home, kept_port() as port, Supervisor(home / "logs") as supervisor:
        home.chmod(0o755)
        yield Sshd(home, port, supervisor, user, options)


@contextlib.contextmanager
def listening(meet: Callable[[socket.socket], Sequence[socket.socket]], taken_in: int = 0) -> Iterator[int]:
    """A port of loopback where ``meet`` is called with each connection, which is closed with what that returns.

    ``taken_in``: bytes that the system takes in before anybody reads; 0 leaves that as it is.
    """
    ends: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                ends.append(connection)
                ends.extend(meet(connection))

    with socket.socket() as listener:
        if taken_in:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, taken_in)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for end in ends:
                end.close()


@contextlib.contextmanager
def clogged(target: int, most: int) -> Iterator[int]:
    """A way to a port of loopback, by another port: after ``most`` bytes nothing is taken in, and nothing is cut."""

    def carry(source: socket.socket, sink: socket.socket, left: float) -> None:
        with contextlib.suppress(OSError):
            while left and (said := source.recv(min(65_536, int(min(left, 65_536))))):
                sink.sendall(said)
                left -= len(said)

    def meet(near: socket.socket) -> list[socket.socket]:
        far = socket.create_connection(("127.0.0.1", target))
        threading.Thread(target=carry, args=(near, far, most), daemon=True).start()
        threading.Thread(target=carry, args=(far, near, math.inf), daemon=True).start()
        return [far]

    with listening(meet, taken_in=4096) as port:
        yield port


def login_script(place: Path, text: str) -> str:
    """What makes an sshd run ``text`` before everything, SFTP too, as the start-up file of a login shell would."""
    path = place / "login.sh"
    path.write_text(f'#!/bin/sh\n{text}\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    path.chmod(0o755)
    return f"Subsystem sftp {SFTP_SERVER}\nForceCommand {path}\n"


def new_folder(transport: Any, workspace: Path) -> str:
    """The path of an own folder that is not there yet."""
    number = uuid.uuid4()
    return str(transport.folder_of(str(workspace), f"job-{next(numbers)}", number.hex, PORTAL))


def running(word: str) -> list[psutil.Process]:
    """The processes with ``word`` among their arguments."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if word in (process.info["cmdline"] or []):
            found.append(process)
    return found
