"""The admin: schedulers, which of them an app's setting means, and jobs. What a worker writes can only be read."""

from jobsapi.admin import jobs, schedulers

__all__ = ["jobs", "schedulers"]
