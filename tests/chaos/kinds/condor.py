"""Jobs of HTCondor, on this machine's schedd and on the same over SSH."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.ground import Ground
from tests.chaos.kinds import Kind, notes_of, number_of, uid_of

LOCAL, REMOTE = "pool", "remote"
"""The names of the schedulers' rows."""
WORK = Path(__file__).with_suffix(".sh")
TRANSFERRED = 6 * 1024**2
"""Bytes of the file that some of them take, and leave again."""


class AtHTCondor(Kind):
    """One job that runs ``WORK``. ``what``: what that is told to do."""

    what = "works"
    parts: tuple[str, ...] = ("0",)

    def __init__(self, name: str, scheduler: str) -> None:
        self.scheduler = scheduler  # type: ignore[misc]
        self.name = name if scheduler == LOCAL else f"{name}-ssh"  # type: ignore[misc]

    def execute(self, manager: Any, user: Any, scheduler: Any, name: str, ground: Ground) -> Any:
        job = manager.create_job(
            name,
            user,
            job_type="CONDOR",
            scheduler=scheduler,
            uid=uid_of(name),
            condorpy_template_name="vanilla_transfer_files",
            remote_input_files=[str(WORK)],
            num_jobs=len(self.parts),
            process_results_function=summed,
        )
        job.attributes = {"executable": WORK.name, "arguments": self._arguments(job, "$(Process)", ground)}
        self._change(job, ground)
        job.execute()
        return job

    def result(self, job: Any) -> Any:
        return {name: sha256(content).hexdigest() for name, content in self.results(job).items()}

    def results(self, job: Any) -> Mapping[str, bytes]:
        """The files that it leaves in ``job.folder``, at whatever depth, by their names."""
        return {f"result.{part}": f"{number_of(job.name)} {part}\n".encode() * 1_000 for part in self.parts}

    def _arguments(self, job: Any, part: str, ground: Ground) -> str:
        go = ground.go / str(job.uid)
        return f"{notes_of(ground, job)} {part} {number_of(job.name)} {go} {self.what}"

    def _change(self, job: Any, ground: Ground) -> None:
        """What else the job is."""


class Parts(AtHTCondor):
    """Three procs."""

    parts = ("0", "1", "2")


class Transfers(AtHTCondor):
    """Takes a file of some MiB, and leaves one."""

    def results(self, job: Any) -> Mapping[str, bytes]:
        return {name: content + transferred() for name, content in super().results(job).items()}

    def _change(self, job: Any, ground: Ground) -> None:
        job.remote_input_files = [*job.remote_input_files, str(input_of(ground))]
        job.attributes = {**job.attributes, "transfer_input_files": "../input"}


class Fails(AtHTCondor):
    """Ends with exit code 3."""

    what = "fails"

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        return ("Error",)


class Resubmitted(AtHTCondor):
    """Fails; its user mends the cause, and runs it again."""

    what = "fails-first"

    def act(self, job: Any, ground: Ground) -> bool:
        if job.cached_status == "Error" and not ground.noted(job):
            (ground.go / str(job.uid)).touch()
            job.resubmit()
            ground.note(job, "resubmit")
        return bool(job.cached_status == "Complete")


class Stopped(AtHTCondor):
    """Would run for ever; its user stops it when it runs."""

    what = "waits"

    def act(self, job: Any, ground: Ground) -> bool:
        if not job.ended and not ground.noted(job) and ground.runs(job):
            job.stop()
            ground.note(job, "stop")
        return bool(job.ended)

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        return ("Aborted",)


class Deleted(AtHTCondor):
    """Would run for ever; its user deletes it when it runs."""

    what = "waits"

    def act(self, job: Any, ground: Ground) -> bool:
        if not ground.runs(job):
            return False
        job.delete()
        ground.note(job, "delete")
        return True

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        return ()


class Paused(AtHTCondor):
    """Its user pauses it when it runs, and resumes it when it is held: so it starts twice."""

    what = "waits"

    def act(self, job: Any, ground: Ground) -> bool:
        if job.cached_status == "Paused" and job.requested != "release":
            (ground.go / str(job.uid)).touch()
            job.resume()
            ground.note(job, "resume")
        elif not job.ended and not ground.noted(job) and ground.runs(job):
            job.pause()
            ground.note(job, "pause")
        return bool(job.ended)


class Flow(AtHTCondor):
    """A workflow of three nodes, one after the other; the first takes a file of some MiB."""

    parts = ("A", "B", "C")

    def execute(self, manager: Any, user: Any, scheduler: Any, name: str, ground: Ground) -> Any:
        from django.db import transaction

        from jobsapi.models import CondorWorkflowJobNode

        job = manager.create_job(name, user, job_type="CONDORWORKFLOW", scheduler=scheduler, uid=uid_of(name))
        job.process_results_function = summed
        with transaction.atomic():
            job.save()
            before = None
            for part in self.parts:
                inputs = [str(WORK), *([str(input_of(ground))] if before is None else [])]
                node = CondorWorkflowJobNode(
                    name=part,
                    workflow=job,
                    condorpy_template_name="vanilla_transfer_files",
                    remote_input_files=inputs,
                    attributes={
                        "executable": WORK.name,
                        "arguments": self._arguments(job, part, ground),
                        **({"transfer_input_files": "../input"} if before is None else {}),
                    },
                )
                node.save()
                if before is not None:
                    node.add_parent(before)
                before = node
            job.execute()
        return job

    def results(self, job: Any) -> Mapping[str, bytes]:
        return {name: content + transferred() * (name == "result.A") for name, content in super().results(job).items()}


def summed(job: Any) -> Any:
    """A processing function: the checksums of the files that a job has left, as a worker finds them."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in job.folder.rglob("result.*")}


@cache
def transferred() -> bytes:
    """What is in the file that is transferred: always the same, and nothing that could be made smaller on the way."""
    return Random(TRANSFERRED).randbytes(TRANSFERRED)


def input_of(ground: Ground) -> Path:
    """The file that is transferred; made by whoever comes first."""
    path = ground.home / "input"
    if not path.exists():
        draft = path.with_name(f"input.{os.getpid()}")
        draft.write_bytes(transferred())
        draft.chmod(0o644)
        draft.rename(path)
    return path


ALL = {
    "condor": AtHTCondor,
    "condor-parts": Parts,
    "condor-transfers": Transfers,
    "condor-fails": Fails,
    "condor-resubmitted": Resubmitted,
    "condor-stopped": Stopped,
    "condor-deleted": Deleted,
    "condor-paused": Paused,
    "condor-flow": Flow,
}
KINDS = [kind(name, scheduler) for scheduler in (LOCAL, REMOTE) for name, kind in ALL.items()]
