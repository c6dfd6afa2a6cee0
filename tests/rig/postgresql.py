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

from jobsapi.portal.supervisor import Command, Supervisor
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
    found = programs()
    account = SUPERUSER if os.geteuid() == 0 else None
    with folder(account) as home, kept_port() as port, Supervisor(home / "logs") as supervisor:
        data, secret = home / "data", home / "password"
        secret.write_text(PASSWORD)
        options = ["-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [found / "initdb", "-D", data, *options], user=account, cwd=home, check=True, capture_output=True
        )
        settings = [
            *("listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories="),
            *("fsync=off", "synchronous_commit=off", "full_page_writes=off"),
        ]
        server = supervisor.start(
            Command(
                name="postgresql",
                argv=[str(found / "postgres"), "-D", str(data), *(f"-c{setting}" for setting in settings)],
                user=account,
                cwd=home,
                stop_signal=signal.SIGINT,  # "fast": does not wait for clients
            )
        )
        supervisor.wait_listening(server, port)
        ask = [found / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        supervisor.wait_until(server, lambda: subprocess.run(ask, check=False).returncode == 0)
        address = {"host": "127.0.0.1", "port": port, "dbname": "postgres"}
        with psycopg.connect(**address, user=SUPERUSER, password=PASSWORD) as connection:
            role = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
            connection.execute(role.format(sql.Identifier(USER), sql.Literal(PASSWORD)))
        yield f"postgres://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"


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
