"""What the demo stands on: its lock, folders, settings, and rows in the database."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jobsapi.portal.demo import ADMINISTRATOR, ROOT, USER, DemoError

SOCKET_PATH_MAX = 100
"""The kernel's limit is 107 bytes on Linux and 103 on macOS; unix(7)."""


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the demo's lock in ``folder``. The kernel lets go of it with the process, however that ends."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DemoError(
                f"A demo already runs in this checkout (process {lock.read().strip()}). Stop it with Ctrl-C first."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """A folder of our own, for as long as the context lasts, whose path is short enough for a unix socket."""
    base = tempfile.gettempdir()
    if len(base) > SOCKET_PATH_MAX - len("/jobsapi-xxxxxxxx/valkey.sock"):
        base = "/tmp"  # noqa: S108 - the folder made in it is private
    with tempfile.TemporaryDirectory(prefix="jobsapi-", dir=base, ignore_cleanup_errors=True) as folder:
        yield folder


def environment(folder: Path) -> dict[str, str]:
    """Settings of the demo for all its processes. What the user has set stays."""
    ours = {
        "DJANGO_SETTINGS_MODULE": "jobsapi.portal.settings",
        "JOBSAPI_VAR": str(folder),
        "JOBSAPI_APPS": "jobsapi.portal.samples",
        "SECRET_KEY": secret_key(folder / "secret_key"),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "DEBUG": "0",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "JOBSAPI_HTTPS": "0",
        "JOBSAPI_REFRESH_INTERVAL": "1",
        "WEB_CONCURRENCY": "2",  # many open tables keep more than one process of Python busy
        "PYTHONUNBUFFERED": "1",
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**not_set(ours), "PYTHONPATH": path}


def addresses(web_port: int, flower_port: int) -> dict[str, str]:
    """Settings that say where the demo's servers are, to pages and to jobs. What the user has set stays."""
    ports = {"JOBSAPI_PUBLIC_URL": web_port, "JOBSAPI_FLOWER_URL": flower_port}
    return not_set({name: f"http://127.0.0.1:{port}" for name, port in ports.items()})


def not_set(ours: dict[str, str]) -> dict[str, str]:
    """Those of the variables that the user has not set."""
    return {name: value for name, value in ours.items() if not os.environ.get(name)}


def secret_key(path: Path) -> str:
    """The key kept in ``path``, made at the first run, for the owner's eyes only."""
    if not path.exists():  # the lock keeps others out
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text()


def prepare_database(password: str, scheduler_address: str, dashboard: str, *, htcondor: bool = False) -> None:
    """The demo's user and administrator, and its schedulers, assigned to the sample app.

    They are its Dask scheduler and, with ``htcondor``, this machine's schedd.
    """
    from django.contrib.auth import get_user_model

    from jobsapi.app import SchedulerSetting
    from jobsapi.models import CondorScheduler, DaskScheduler, Scheduler, SchedulerAssignment
    from jobsapi.portal.samples.app import SampleApp

    for name in (USER, ADMINISTRATOR):
        user, _ = get_user_model().objects.get_or_create(username=name)
        user.is_staff = user.is_superuser = name == ADMINISTRATOR
        user.set_password(password)
        user.save()
    dask, _ = DaskScheduler.objects.update_or_create(
        name="demo", defaults={"host": scheduler_address, "dashboard": dashboard}
    )
    schedulers: dict[str, Scheduler] = {SchedulerSetting.DASK: dask}
    if htcondor:
        schedulers[SchedulerSetting.HTCONDOR], _ = CondorScheduler.objects.update_or_create(
            name="pool", defaults={"host": ""}
        )
    for setting in SampleApp().scheduler_settings():
        if setting.engine in schedulers:
            SchedulerAssignment.objects.update_or_create(
                package=SampleApp.package,
                setting=setting.name,
                defaults={"scheduler": schedulers[setting.engine]},
            )
        else:  # that of an earlier demo, which had one
            SchedulerAssignment.objects.filter(package=SampleApp.package, setting=setting.name).delete()
