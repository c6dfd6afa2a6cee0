"""The disks of a campaign that can run full: file systems of their own, in memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rig.condor import CondorPool


@contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """A file system of its own in ``folder``, in memory, so that it can be full while no other is.

    Where nothing can be mounted, the folder is an ordinary one. It belongs to whom the folder above belongs.
    """
    for each in [*reversed(folder.parents), folder]:
        if not each.exists():
            above = each.parent.stat()
            each.mkdir()
            os.chown(each, above.st_uid, above.st_gid)
    mounted = mount("-t", "tmpfs", "-o", "mode=777", "tmpfs", folder)
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)
            folder.rmdir()


def remote_folders(pool: CondorPool, portal: str) -> Path:
    """Where the jobs of this portal have their folders at the submit host."""
    return Path(f"~{pool.user}").expanduser() / "jobsapi" / portal


def mount(*words: str | Path) -> bool:
    """Whether ``mount`` did what it was told: only root may have it do anything."""
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0
