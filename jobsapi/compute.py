"""The low-level scheduler API: list, get and create schedulers. What is created is not saved."""

from __future__ import annotations

from typing import Any

from jobsapi.models import CondorScheduler, DaskScheduler, Scheduler
from jobsapi.shown import shown


def list_schedulers() -> list[Scheduler]:
    """All schedulers of the portal, each of its own class."""
    return list(Scheduler.objects.all())


def get_scheduler(name: str) -> Scheduler | None:
    """The scheduler of this name, or None."""
    return Scheduler.objects.filter(name=name).first()


def create_scheduler(name: str, host: str, scheduler_type: str = "condor", **kwargs: Any) -> Scheduler:
    """A new scheduler of type ``"condor"`` or ``"dask"``, with that type's options. Call its ``save()`` to keep it.

    Raises ``ValueError`` for another type.
    """
    creators = {"condor": create_condor_scheduler, "dask": create_dask_scheduler}
    if scheduler_type not in creators:
        raise ValueError(f"There is no scheduler type {shown(scheduler_type)}. Choose one of {', '.join(creators)}.")
    return creators[scheduler_type](name, host, **kwargs)  # type: ignore[operator,no-any-return]


def create_condor_scheduler(
    name: str,
    host: str,
    username: str | None = None,
    password: str | None = None,
    private_key_path: str | None = None,
    private_key_pass: str | None = None,
    port: int = 22,
    host_key: str = "",
) -> CondorScheduler:
    """A new HTCondor scheduler, reached over SSH at ``host``. Call its ``save()`` to keep it.

    With an empty ``host``, or ``"localhost"`` and no ``username``, it is this machine's own. ``host_key``: the host's
    SSH key, type and key in two words; without it an administrator has to accept the one that the host shows first.
    """
    scheduler = CondorScheduler(
        name=name,
        host=host,
        port=port,
        username=username or "",
        private_key_path=private_key_path or "",
        host_key=host_key.strip(),
    )
    scheduler.password = password
    scheduler.private_key_pass = private_key_pass
    return scheduler


def create_dask_scheduler(
    name: str,
    host: str,
    timeout: str | int | None = None,
    heartbeat_interval: str | int | None = None,
    dashboard: str | None = None,
) -> DaskScheduler:
    """A new Dask scheduler at ``host`` (``host:port``).

    ``timeout``, ``heartbeat_interval``: in seconds. Call its ``save()`` to keep it.
    """
    return DaskScheduler(
        name=name,
        host=host,
        timeout="" if timeout is None else str(timeout),
        heartbeat_interval="" if heartbeat_interval is None else str(heartbeat_interval),
        dashboard=dashboard or "",
    )
