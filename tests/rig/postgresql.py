"""A PostgreSQL server for tests: over TCP, with an ordinary role that has a password."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from jobsapi.portal.supervisor import Command, Process, Supervisor
from tests.rig.ports import kept_port
from tests.rig.services import folder, missing

SUPERUSER = "postgres"
"""Also the account that runs the server when the tests run as root, which PostgreSQL refuses."""
USER = "jobs@api"
PASSWORD = "p@ss:w/r#d?100%&+"
"""A URL has to quote the odd characters of both."""


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The DATABASE_URL of a server of our own, fast and forgetful. Its role may create databases and nothing else."""
    with folder(account()) as home, kept_port() as port, Supervisor(home / "logs") as supervisor:
        process = supervisor.start(server(home, port, synchronous_commit="off"))
        yield ready(supervisor, process, port)


def account() -> str | None:
    """The account that runs the server, and to which its folder has to belong; None for our own."""
    return SUPERUSER if os.geteuid() == 0 else None


def server(home: Path, port: int, **settings: str) -> Command:
    """The server of a database that is made in ``home``, which belongs to ``account()``.

    It is lost with the machine, but not with the server: what was committed is there when that is started again.
    """
    found = programs()
    data, secret = home / "data", home / "password"
    secret.write_text(PASSWORD)
    options = ["-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run([found / "initdb", "-D", data, *options], user=account(), cwd=home, check=True, capture_output=True)
    fast = {"fsync": "off", "full_page_writes": "off"}
    here = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    said = [f"-c{name}={value}" for name, value in {**here, **fast, **settings}.items()]
    return Command(
        name="postgresql",
        argv=[str(found / "postgres"), "-D", str(data), *said],
        user=account(),
        cwd=home,
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients
    )


def ready(supervisor: Supervisor, process: Process, port: int) -> str:
    """Wait for a server that was just made, make its role, and return the DATABASE_URL."""
    supervisor.wait_listening(process, port)
    ask = [programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    supervisor.wait_until(process, lambda: subprocess.run(ask, check=False).returncode == 0)
    address = {"host": "127.0.0.1", "port": port, "dbname": "postgres"}
    with psycopg.connect(**address, user=SUPERUSER, password=PASSWORD) as connection:
        role = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
        connection.execute(role.format(sql.Identifier(USER), sql.Literal(PASSWORD)))
        # A role of its own needs a place of its own, since PostgreSQL 15.
        connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(USER)))
    return f"postgres://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"


def programs() -> Path:
    """The folder with the server's programs; the test that asks ends here when there is none, or nobody to run them."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    if found is None:
        missing("PostgreSQL's server is not installed: run scripts/install-test-services")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(SUPERUSER)
        except KeyError:
            missing(f"PostgreSQL does not run as root, and there is no account called {SUPERUSER}")
    return Path(found).resolve().parent
