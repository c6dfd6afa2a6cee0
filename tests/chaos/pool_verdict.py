"""What has become of the jobs of HTCondor: by the pool, by what the work has noted, by the files that came home."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from jobsapi import conf
from jobsapi.models import Job
from tests.chaos.cases import Case, Wrong
from tests.chaos.disks import remote_folders
from tests.chaos.ground import Ground
from tests.chaos.kinds import kind_of
from tests.chaos.kinds.condor import AtHTCondor
from tests.chaos.stage import Stage

Ad: TypeAlias = Mapping[str, Any]

DRAINED = 30.0
"""Seconds in which what was removed has surely left the queue."""
REMOVED, COMPLETED = 3, 4
"""JobStatus of what has left the queue."""
DAGMAN = 7
"""JobUniverse of a workflow's own job."""


def cases(stage: Stage) -> Iterator[Case]:
    """All that is not as it was promised. To be asked when every job has ended."""
    pool, ground = stage.pool, stage.ground
    assert pool is not None
    stage.until(lambda: not _ours(pool.queue()), DRAINED)
    queue, history = (_ours(ads) for ads in (pool.queue(), pool.history()))
    jobs: list[Any] = [job for job in Job._base_manager.all() if job.backend == "condor"]
    yield from (Case(Wrong.LEFT, f"In the queue: {_called(ad)}") for ad in queue)
    yield from _twice([*queue, *history])
    yield from _too_often(ground, history)
    yield from _never_ran(ground, history)
    for job in jobs:
        yield from _otherwise(job, history)
        yield from _broken_files(job)
    yield from (
        Case(Wrong.LEFT, f"At the submit host: {path}") for path in _inside(remote_folders(pool, conf.get("PORTAL")))
    )
    yield from _orphans(jobs)


def _ours(ads: Iterable[Ad]) -> list[Ad]:
    """Each part once: while its schedd dies, one may be written to the history twice."""
    found = {(ad["ClusterId"], ad["ProcId"]): ad for ad in ads if ad.get("JobsApiPortal") == conf.get("PORTAL")}
    return [*found.values()]


def _called(ad: Ad) -> str:
    return f"{ad['ClusterId']}.{ad['ProcId']} {ad.get('JobsApiId')}: JobStatus {ad.get('JobStatus')}"


def _twice(ads: Iterable[Ad]) -> Iterator[Case]:
    """One cluster for each attempt."""
    clusters = defaultdict(set)
    for ad in ads:
        if "DAGManJobId" not in ad:
            clusters[ad["JobsApiId"]].add(ad["ClusterId"])
    for mark, found in clusters.items():
        if len(found) > 1:
            yield Case(Wrong.DOUBLED, f"The attempt {mark} has the clusters {sorted(found)}.", _job_of(mark))


def _runs(ground: Ground) -> Counter[tuple[str, str]]:
    """How often each part of each attempt has noted that it begins."""
    notes = (line.split() for path in ground.ran.iterdir() for line in path.read_text().splitlines())
    return Counter((words[0], words[1]) for words in notes)


def _starts(history: Iterable[Ad]) -> dict[tuple[str, str], int]:
    """How often HTCondor has started each part; a node may have been several clusters."""
    starts: Counter[tuple[str, str]] = Counter()
    for ad in history:
        part = str(ad.get("DAGNodeName", ad["ProcId"]))
        starts[ad["JobsApiId"], part] += max(ad.get("NumJobStarts", 0), ad.get("NumShadowStarts", 0))
    return starts


def _too_often(ground: Ground, history: list[Ad]) -> Iterator[Case]:
    """No more runs than starts that HTCondor tells."""
    starts = _starts(history)
    marks = {mark for mark, _ in starts}
    for (mark, part), runs in _runs(ground).items():
        if mark in marks and runs > starts.get((mark, part), 0):
            told = starts.get((mark, part), 0)
            yield Case(Wrong.DOUBLED, f"Part {part} of {mark} ran {runs} times, started {told} times.", _job_of(mark))


def _never_ran(ground: Ground, history: list[Ad]) -> Iterator[Case]:
    """What ended well has run."""
    runs = _runs(ground)
    for ad in history:
        part = str(ad.get("DAGNodeName", ad["ProcId"]))
        well = ad.get("JobStatus") == COMPLETED and ad.get("ExitCode") == 0 and ad.get("JobUniverse") != DAGMAN
        if well and not runs[ad["JobsApiId"], part]:
            yield Case(Wrong.LOST, f"{_called(ad)}: nothing was noted of part {part}.", _job_of(ad["JobsApiId"]))


def _otherwise(job: Any, history: list[Ad]) -> Iterator[Case]:
    """A job ended as its parts did, by their exit codes."""
    mark = job.submission_id.hex if job.submission_id else ""
    ads = [ad for ad in history if ad["JobsApiId"] == mark and "DAGManJobId" not in ad]
    if job.ended and ads and job.cached_status != (told := _told(ads)):
        yield Case(Wrong.STATE, f"{job} is {job.cached_status} ({job.status_message}), at HTCondor {told}.", job.pk)


def _told(ads: list[Ad]) -> str:
    """The status that a job deserves by what HTCondor says of its parts."""
    well = [ad.get("JobStatus") == COMPLETED and ad.get("ExitCode") == 0 for ad in ads]
    if all(well):
        return "Complete"
    if all(ad.get("JobStatus") == REMOVED for ad in ads):
        return "Aborted"
    return "Various-Complete" if any(well) else "Error"


def _broken_files(job: Any) -> Iterator[Case]:
    """The files of a job that ended well are here, each byte of them."""
    kind = kind_of(job.name)
    if job.cached_status == "Complete" and isinstance(kind, AtHTCondor):
        for name, content in kind.results(job).items():
            found = [path.read_bytes() for path in job.folder.rglob(name)]
            if found != [content]:
                said = f"{name} has {[len(each) for each in found]} bytes, not {len(content)}"
                yield Case(Wrong.STATE, f"{job}: {said}.", job.pk)


def _orphans(jobs: Iterable[Any]) -> Iterator[Case]:
    """No folder of a job that is gone."""
    known = {job.folder for job in jobs}
    for path in Path(conf.get("WORKSPACE_ROOT")).glob("**/.jobsapi"):
        if path.parent not in known:
            yield Case(Wrong.LEFT, f"Nobody's folder: {path.parent}")


def _job_of(mark: str) -> int | None:
    """The job whose attempt is marked so, if that is its last one."""
    return Job._base_manager.filter(submission_id=mark).values_list("pk", flat=True).first()


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
