"""What an app's pages show of its jobs: ``JobsTable``, and actions of its own in it. Ported apps import from here."""

from jobsapi.web.table.actions import CustomJobAction
from jobsapi.web.table.options import JobsTable

__all__ = ["CustomJobAction", "JobsTable"]
