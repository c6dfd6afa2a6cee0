"""What jobs of the tests name."""

from pathlib import Path


def level(job):
    """The number that the job has left in a file."""
    return int(Path(job.initial_dir, "level").read_text())


def refuse(job):
    """What no result is good enough for."""
    raise ValueError("not good enough")
