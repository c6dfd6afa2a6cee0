"""The admin: jobs, schedulers, and which of them an app's setting means. What a worker writes can only be read."""

from jobsapi.admin import assignments, jobs, schedulers, strays

__all__ = ["assignments", "jobs", "schedulers", "strays"]
