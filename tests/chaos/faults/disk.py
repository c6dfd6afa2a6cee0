"""Disks that run full: where jobs have their folders, on this machine and at the submit host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from jobsapi import conf
from jobsapi.exceptions import TransitionNotAllowed
from jobsapi.status import Status
from tests.chaos.disks import mount, remote_folders
from tests.chaos.faults import NotHere
from tests.chaos.faults.htcondor import pool_of
from tests.rig.condor import CondorPool
from tests.rig.eventually import eventually

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

OF_ITS_OWN_ACCORD = "JobStatus == 5 && HoldReasonCode =!= 1 && JobsApiId =!= undefined"
"""1: a user has asked for it."""
GOING_ON = 60.0
"""Seconds in which what was held is surely seen and released."""


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No room on the disk of ``folder``, for as long as the block runs: it is made as small as what lies on it."""
    if not folder.is_dir() or not os.path.ismount(folder):
        raise NotHere(f"{folder} is no disk of its own: only root may mount one")
    whole = os.statvfs(folder)
    eventually(lambda: mount("-o", f"remount,size={_used(folder)}", folder))  # in vain if more is written meanwhile
    try:
        yield
    finally:
        if not mount("-o", f"remount,size={whole.f_blocks * whole.f_frsize}", folder):
            raise RuntimeError(f"{folder} could not be made as large again as it was")


class DiskFull:
    """Full for some seconds, for as long as several jobs start and end. Then its users have what was held go on."""

    name = "disk full"

    def inject(self, stage: Stage, rng: Random) -> None:
        pool = pool_of(stage)
        with full(self.folder(pool)):
            stage.wait(rng.uniform(4.0, 8.0))
        stage.say(f"{len(pool.queue('-constraint', OF_ITS_OWN_ACCORD))} parts are held for want of room")
        if not stage.until(lambda: not held(pool), GOING_ON):
            raise TimeoutError(f"Jobs are still held {GOING_ON:g} s after there was room again: {held(pool)}")

    def folder(self, pool: CondorPool) -> Path:
        raise NotImplementedError


class WorkspaceFull(DiskFull):
    """No room below ``WORKSPACE_ROOT``."""

    name = "workspace full"

    def folder(self, pool: CondorPool) -> Path:
        return Path(conf.get("WORKSPACE_ROOT"))


class RemoteFolderFull(DiskFull):
    """No room where jobs have their folders at the submit host."""

    name = "submit host full"

    def folder(self, pool: CondorPool) -> Path:
        return remote_folders(pool, conf.get("PORTAL"))


def held(pool: CondorPool) -> list[str]:
    """What HTCondor holds for reasons of its own. Its users, who read that in the portal, resume it."""
    from jobsapi.models import Job

    marks = [ad["JobsApiId"] for ad in pool.queue("-constraint", OF_ITS_OWN_ACCORD)]
    for job in Job.objects.filter(submission_id__in=marks, _status__in=[Status.PAUSED, Status.VARIOUS], requested=""):
        with suppress(TransitionNotAllowed):
            job.resume()
    return marks


def _used(folder: Path) -> int:
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize or disk.f_frsize  # 0 would mean: without a limit


FAULTS = (WorkspaceFull(), RemoteFolderFull())
