"""The Celery side of jobsapi: what is due, when, and in which process. ``celery -A worker worker``."""

from worker.celery import app

__all__ = ["app"]
