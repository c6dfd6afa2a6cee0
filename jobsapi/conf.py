"""The one ``JOBSAPI`` settings dict, its defaults, and what is loaded from it by dotted path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from jobsapi.backends.base import Backend

DEFAULTS: dict[str, Any] = {
    "PORTAL": "jobsapi",
    "BACKENDS": {
        "basic": "jobsapi.backends.basic.BasicBackend",
        "condor": "jobsapi.backends.condor.CondorBackend",
        "dask": "jobsapi.backends.dask.DaskBackend",
    },
    "DISPATCHER": "worker.tasks.CeleryDispatcher",
    "WORKSPACE_ROOT": "workspaces",
    "RESULT_ROOT": "results",
    "SEALING_KEYS": (),
    "REFRESH_INTERVAL": 10.0,
    "RESCUE_INTERVAL": 10.0,
    "RECONCILE_INTERVAL": 3600.0,
    "QUIET_AFTER": 60.0,
    "TASK_RESULT_DAYS": 7,
    "RETENTION": {},
    "LEASE": 30.0,
    "SUBMIT_TIMEOUT": 20.0,
    "CONNECT_TIMEOUT": 2.0,
    "POLL_TIMEOUT": 10.0,
    "RESULT_TIMEOUT": 300.0,
    "SSH_TIMEOUT": 15.0,
    "TRANSFER_TIMEOUT": 30.0,
    "TRIAL_TIMEOUT": 60.0,
    "LOST_GRACE": 60.0,
    "MAX_ATTEMPTS": 3,
    "SCHEDULER_THREADS": 2,
    "BREAKER_MAX": 60.0,
    "INPUT_MAX_BYTES": 64 * 1024**2,
    "RESULT_MAX_BYTES": 256 * 1024**2,
    "FLOWER_URL": "",
    "PUBLIC_URL": "",
    "REPORT_TOKEN_DAYS": 30,
}
"""``docs/settings.md`` gives the meaning, unit and reason of each. Times are in seconds, sizes in bytes."""


def get(name: str) -> Any:
    """The value of ``JOBSAPI[name]``, or its default."""
    configured = getattr(settings, "JOBSAPI", {})
    value = configured.get(name, DEFAULTS[name])
    return {**DEFAULTS[name], **value} if isinstance(DEFAULTS[name], dict) else value


def quiet_after() -> float:
    """Seconds without a sign of life after which a worker or beat is missed: three times beat has had a chance."""
    return float(max(get("QUIET_AFTER"), 3 * get("RESCUE_INTERVAL")))


def backend_class(name: str) -> type[Backend]:
    """The backend that ``JOBSAPI["BACKENDS"]`` names. Raises ``ImproperlyConfigured`` with what to install or set."""
    path = get("BACKENDS").get(name)
    if path is None:
        raise ImproperlyConfigured(f'JOBSAPI["BACKENDS"] has no entry "{name}". Add its dotted path.')
    try:
        backend: type[Backend] = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f'The backend "{name}" ({path}) cannot be imported: {error}. '
            f'Is the extra installed (pip install "jobsapi[{name}]")?'
        ) from error
    return backend
