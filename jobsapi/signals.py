"""What an app can listen to."""

from django.dispatch import Signal

job_status_changed = Signal()
"""Sent after the commit of every change of status, with ``job`` (as it was written) and ``event`` (the JobEvent).

A receiver that fails stops neither the others nor the job; its error is logged. It runs in whatever process caused the
change, mostly a worker: what takes long belongs in a task.
"""
