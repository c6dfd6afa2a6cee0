"""Stands in for a Docker engine: runs what ``docker/compose.yaml`` says on this machine, one container a service.

As root, in net, pid and mount namespaces of a test's own: the services have one loopback device among them, where they
find each other by the names and ports of the file. So commands, health checks and variables run to the letter, and
with the first process of the namespace all the others die.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from signal import Signals
from typing import Any

from jobsapi.portal.demo import ROOT
from jobsapi.portal.supervisor import Command, Process, Supervisor
from tests.docker.box import unprivileged
from tests.docker.files import ends, health_command, image_variables, services

READY = 90.0
"""Seconds in which all must be healthy."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN = "jobsapi"
USERS = {OWN: 10001, "valkey": 10002}
"""Of images that are not here."""
SOURCE = "/opt/source"
"""Where a container finds what the image has installed: the checkout may lie where containers see nothing."""
WORKDIR = {"valkey": "/data", "postgres": "/"}
ENTRYPOINT = """\
#!/bin/sh
# What the entry point of PostgreSQL's image does at the first start.
set -e
export PATH="$PATH:{programs}" PGDATA=/var/lib/postgresql/data
initdb -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" -A scram-sha-256 -E UTF8 --locale=C --no-sync >/dev/null
printf '%s\\n' "listen_addresses = '*'" "fsync = off" >> "$PGDATA/postgresql.conf"
echo "CREATE DATABASE $POSTGRES_DB;" | postgres --single postgres >/dev/null
exec "$@"
"""


@dataclass
class Container:
    """A service that was started."""

    name: str
    service: Mapping[str, Any]
    process: Process
    environment: dict[str, str]
    healthy: bool = False

    def enter(self, *command: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """``docker exec``: run a command where the service runs, as its user, with its variables."""
        inside = ["nsenter", f"--target={self.process.pid}", "--mount", "--uts", "--root", "--wd"]
        return subprocess.run(
            [*inside, *unprivileged(user_of(self.service)), *command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def check(self) -> bool:
        """Run its health check."""
        try:
            answer = self.enter(*health_command(self.service), timeout=seconds(self.service["healthcheck"]["timeout"]))
        except subprocess.TimeoutExpired:
            return False
        return answer.returncode == 0

    def stop(self) -> tuple[int | None, float]:
        """``docker stop``: its exit status and how long that took; minus a signal if it had to be killed."""
        began = time.monotonic()
        os.killpg(self.process.pid, Signals[self.service.get("stop_signal", "SIGTERM")])
        grace = seconds(self.service.get("stop_grace_period", "10s"))
        while self.process.alive:
            if time.monotonic() - began > grace:
                os.killpg(self.process.pid, Signals.SIGKILL)
            time.sleep(0.05)
        return self.process.exit_status, time.monotonic() - began


class Engine:
    """The containers of one run, by the names of their services."""

    def __init__(self, folder: Path, supervisor: Supervisor, programs: Mapping[str, str]) -> None:
        """``programs``: paths of valkey-server, and of initdb in the folder of PostgreSQL's programs."""
        self.folder = folder
        self.supervisor = supervisor
        self.containers: dict[str, Container] = {}
        postgres = Path(programs["initdb"]).parent
        entrypoint = folder / "entrypoint"
        entrypoint.write_text(ENTRYPOINT.format(programs=postgres))
        entrypoint.chmod(0o755)
        self.programs = {
            "docker-entrypoint.sh": str(entrypoint),
            "pg_isready": str(postgres / "pg_isready"),
            "valkey-server": programs["valkey-server"],
            "valkey-cli": str(shutil.which("valkey-cli") or shutil.which("redis-cli")),
        }

    def up(self) -> None:
        """``docker compose up --wait``: start each service when what it depends on is there, until all are healthy."""
        waiting, deadline = dict(services()), time.monotonic() + READY
        while waiting or not all(container.healthy for container in self.containers.values()):
            for name in [name for name, service in waiting.items() if self._may_start(service)]:
                self.containers[name] = self._start(name, waiting.pop(name))
            for container in self.containers.values():
                container.healthy = container.healthy or self._well(container)
            if time.monotonic() > deadline:
                ill = [name for name, container in self.containers.items() if not container.healthy]
                raise TimeoutError(f"Not healthy: {ill}. Not started: {list(waiting)}.")
            time.sleep(0.3)

    def down(self) -> dict[str, tuple[int | None, float]]:
        """``docker compose stop``: how each that still ran has ended, the last started first."""
        running = [container for container in self.containers.values() if container.process.alive]
        return {container.name: container.stop() for container in reversed(running)}

    def _may_start(self, service: Mapping[str, Any]) -> bool:
        return all(name in self.containers and self.containers[name].healthy for name in service.get("depends_on", {}))

    def _well(self, container: Container) -> bool:
        """Healthy, or ended well if it has to end."""
        if not container.process.alive and not (ends(container.service) and container.process.exit_status == 0):
            raise RuntimeError(container.process.obituary())
        return not container.process.alive if ends(container.service) else container.check()

    def _start(self, name: str, service: Mapping[str, Any]) -> Container:
        own = service["image"].startswith(f"{OWN}:")
        of_image = image_variables() if own else {}
        of_image |= {"PYTHONPATH": SOURCE} if own else {}
        environment = {"HOSTNAME": name, **of_image, "PATH": of_image.get("PATH", PATH).replace("$PATH", PATH)}
        environment |= {key: str(value or "") for key, value in (service.get("environment") or {}).items()}
        spec = {
            "name": name,
            "ground": str(self.folder / "boxes" / name),
            "user": user_of(service),
            "workdir": WORKDIR.get(name, "/var/lib/jobsapi"),
            "command": [*(["docker-entrypoint.sh"] if name == "postgres" else []), *service["command"]],
            "environment": environment,
            "visible": [sys.base_prefix],
            "files": _etc(),
            "binds": [*self._programs(), *self._volumes(service), *self._secrets(service)],
            "tmpfs": service.get("tmpfs", []),
        }
        file = self.folder / f"{name}.json"
        file.write_text(dumps(spec))
        box = ["unshare", "--mount", "--uts", "--propagation", "private", sys.executable, "-m", "tests.docker.box"]
        process = self.supervisor.start(Command(name=name, argv=[*box, str(file)], cwd=ROOT))
        return Container(name, service, process, environment)

    def _programs(self) -> Iterator[tuple[str, ...]]:
        yield sys.prefix, "/opt/jobsapi", "-o", "ro"
        yield str(ROOT), SOURCE, "-o", "ro"
        for name, path in self.programs.items():
            yield path, f"/usr/local/bin/{name}", "-o", "ro"

    def _volumes(self, service: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
        """Each begins as Docker would make it: with the owner that the folder has in the image."""
        for volume in service.get("volumes", []):
            source = self.folder / "volumes" / volume["source"]
            if not source.exists():
                source.mkdir(mode=0o750, parents=True)
                user = user_of(service)
                os.chown(source, USERS.get(user) or pwd.getpwnam(user).pw_uid, -1)
            yield str(source), volume["target"], *(("-o", "ro") if volume.get("read_only") else ())

    def _secrets(self, service: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
        for secret in service.get("secrets", []):
            yield str(self.folder / "secrets" / secret["source"]), secret["target"], "-o", "ro"


def user_of(service: Mapping[str, Any]) -> str:
    return str(service.get("user", OWN))


def seconds(text: str) -> float:
    """A time as Compose writes it: 1m30s."""
    minutes, _, rest = text.rpartition("m")
    return 60 * float(minutes or 0) + float(rest.removesuffix("s") or 0)


def _etc() -> dict[str, str]:
    """What differs from this machine's own /etc."""
    users = "".join(f"{name}:x:{number}:{number}::/:/bin/sh\n" for name, number in USERS.items())
    groups = "".join(f"{name}:x:{number}:\n" for name, number in USERS.items())
    return {
        "/etc/hosts": f"127.0.0.1 localhost {' '.join(services())}\n",
        "/etc/passwd": Path("/etc/passwd").read_text() + users,
        "/etc/group": Path("/etc/group").read_text() + groups,
    }
