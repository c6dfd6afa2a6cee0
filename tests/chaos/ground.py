"""The folder of one campaign: the files through which its processes, the jobs and the verdict speak to each other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "JOBSAPI_CHAOS_HOME"
"""Names the folder, for every process of a campaign."""


@dataclass(frozen=True)
class Ground:
    """Everybody may write below ``home``: jobs of HTCondor run as another account."""

    home: Path

    @classmethod
    def here(cls) -> Ground:
        """That of the campaign that this process belongs to."""
        return cls(Path(os.environ[VARIABLE]))

    @property
    def ran(self) -> Path:
        """A file for each job, called by its ``uid``: one line whenever its work begins."""
        return self.home / "ran"

    @property
    def go(self) -> Path:
        """An empty file for each job, called by its ``uid``, once its work may end, or succeed."""
        return self.home / "go"

    @property
    def acts(self) -> Path:
        """A file for each job, called by its ``uid``: what its user has done, a word in each line."""
        return self.home / "acts"

    @property
    def points(self) -> Path:
        """What ``tests.chaos.points`` keeps."""
        return self.home / "points"

    @property
    def members(self) -> Path:
        """What those who submit and act have to tell."""
        return self.home / "members"

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.home, self.ran, self.go, self.acts, self.points, self.members):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)

    def note(self, job: Any, word: str) -> None:
        """A user has done this to a job, and the call has returned."""
        append(self.acts / str(job.uid), word)

    def noted(self, job: Any) -> list[str]:
        """What users have done to a job."""
        return lines(self.acts / str(job.uid))

    def runs(self, job: Any) -> list[str]:
        """What the work of a job has noted."""
        return lines(self.ran / str(job.uid))


def append(path: Path, line: str) -> None:
    """Add a line in one write, so that no two ever mix."""
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def lines(path: Path) -> list[str]:
    """The lines of a file; none if it is not there."""
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
