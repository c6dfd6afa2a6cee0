"""Becomes a machine that runs our units: ``python -m tests.systemd.machine SPEC``, as root, in namespaces of a test.

Its file system is this machine's, and nothing that it writes comes back. systemd is its first process; what it runs
are the units of ``systemd/``, a PostgreSQL and a Valkey, as ``docs/install.md`` has them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.docker.box import bind, mount

USER = "jobsapi"
POSTGRESQL = """
[Service]
Type=notify
User=postgres
Environment=PGDATA=/var/lib/trial-database
ExecStart={programs}/postgres -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off
"""
VALKEY = """
[Service]
DynamicUser=yes
LoadCredential=password:/etc/jobsapi/secrets/valkey_password
ExecStart=/bin/sh -c 'echo "requirepass $(cat %d/password)" | exec /opt/valkey-server --bind 127.0.0.1 --save "" -'
"""
TRIAL = """
[Service]
Type=oneshot
ExecStart=/opt/jobsapi/bin/python /opt/trial.py
StandardOutput=file:/trial.out
StandardError=file:/trial.out
"""


def main(spec: dict[str, Any]) -> None:
    """Does not return."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    root = built(Path(spec["ground"]))
    install(root, spec)
    serve(root, spec)
    mount("--make-rshared", root)  # as the first systemd of a machine does, and one in a container does not
    os.chroot(root)
    os.chdir("/")
    quiet = ["--unit=multi-user.target", "--log-level=warning", "--log-target=journal", "--show-status=no"]
    os.execve(
        spec["systemd"], [spec["systemd"], "--system", *quiet], {"container": "trial", "PATH": os.environ["PATH"]}
    )


def built(ground: Path) -> Path:
    """A root file system with none of this machine's own services."""
    ground.mkdir()
    mount("-t", "tmpfs", "none", ground)
    upper, work, root = (ground / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", root)
    bind("/dev", root / "dev")
    for name in ("run", "tmp", "dev/shm", "var/log", "var/cache", "etc/systemd/system", "etc/jobsapi"):
        (root / name).mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "none", root / name)
    mount("-t", "proc", "proc", root / "proc")
    mount("-t", "sysfs", "-o", "ro", "sysfs", root / "sys")
    mount("-t", "cgroup2", "none", root / "sys/fs/cgroup")
    (root / "etc/machine-id").write_text(f"{0x10B5A91:032x}\n")
    (root / "etc/systemd/system-generators").mkdir(parents=True)
    (root / "etc/systemd/system-generators/postgresql-generator").symlink_to("/dev/null")
    for unit in ("systemd-logind", "systemd-networkd", "systemd-timesyncd", "systemd-udevd", "systemd-udev-trigger"):
        (root / "etc/systemd/system" / f"{unit}.service").symlink_to("/dev/null")
    return root


def install(root: Path, spec: dict[str, Any]) -> None:
    """What ``docs/install.md`` does: a user, a virtual environment, the units, the settings and the secrets."""
    source = Path(spec["source"])
    with (root / "etc/passwd").open("a") as passwd, (root / "etc/group").open("a") as group:
        passwd.write(f"{USER}:x:10001:10001::/:/usr/sbin/nologin\n")
        group.write(f"{USER}:x:10001:\n")
    bind(sys.base_prefix, root / "opt/python", "-o", "ro")
    bind(str(source), root / "opt/source", "-o", "ro")
    environment = root / "opt/jobsapi"
    bind(f"{sys.prefix}/lib", environment / "lib", "-o", "ro")
    (environment / "pyvenv.cfg").write_text("home = /opt/python/bin\n")
    (environment / "bin").mkdir()
    (environment / "bin/python").symlink_to("/opt/python/bin/python3")
    settings, units = root / "etc/jobsapi", root / "etc/systemd/system"
    shutil.copytree(source / "systemd", units, dirs_exist_ok=True)
    # What pip would have installed and linked, and a hurry.
    found_there = "PYTHONPATH=/opt/source\nLD_LIBRARY_PATH=/opt/python/lib\nJOBSAPI_REFRESH_INTERVAL=1\n"
    (settings / "jobsapi.env").write_text((source / "systemd/jobsapi.env.example").read_text() + found_there)
    (settings / "dask.env").write_text(found_there)
    subprocess.run([source / "docker/make-secrets", settings / "secrets"], check=True, stdout=subprocess.DEVNULL)
    wants = units / "jobsapi.target.wants"
    wants.mkdir()
    for unit in spec["enabled"]:
        (wants / unit).symlink_to(f"../{unit.partition('@')[0]}@.service" if "@" in unit else f"../{unit}")
    (units / "multi-user.target.wants").mkdir()
    (units / "multi-user.target.wants/jobsapi.target").symlink_to("../jobsapi.target")


def serve(root: Path, spec: dict[str, Any]) -> None:
    """The services that the portal stands on, the database not started yet, and the trial."""
    units, data = root / "etc/systemd/system", root / "var/lib/trial-database"
    programs = spec["programs"]
    bind(spec["valkey-server"], root / "opt/valkey-server", "-o", "ro")
    (units / "postgresql.service").write_text(POSTGRESQL.format(programs=programs))
    (units / "valkey-server.service").write_text(VALKEY)
    (units / "jobsapi-trial.service").write_text(TRIAL)
    (units / "multi-user.target.wants/valkey-server.service").symlink_to("../valkey-server.service")
    (root / "opt/trial.py").write_text(spec["trial"])
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    secret = root / "tmp/password"
    secret.write_text((root / "etc/jobsapi/secrets/database_password").read_text())
    as_postgres = ["chroot", "--userspec=postgres:postgres", str(root)]
    initdb = ["initdb", "-D", "/var/lib/trial-database", "-U", USER, "--pwfile", "/tmp/password", "-A", "scram-sha-256"]
    subprocess.run([*as_postgres, f"{programs}/{initdb[0]}", *initdb[1:], "--locale=C", "-E", "UTF8"], check=True)
    single = [*as_postgres, f"{programs}/postgres", "--single", "-D", "/var/lib/trial-database", "postgres"]
    subprocess.run(single, input=f"CREATE DATABASE {USER};\n", text=True, check=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
