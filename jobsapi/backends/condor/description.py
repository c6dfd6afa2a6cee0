"""Submit descriptions, by condorpy corrected where it writes wrong lines. Touches neither disk nor network."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from condorpy import Job
from condorpy.templates import Templates

from jobsapi import conf
from jobsapi.backends.condor import reports
from jobsapi.htcondor.attributes import check_attributes, line, macros, plain
from jobsapi.htcondor.macros import value_of
from jobsapi.htcondor.names import slug
from jobsapi.htcondor.templates import TEMPLATES, check_template
from jobsapi.htcondor.values import check_count, quoted, scalar

if TYPE_CHECKING:
    from jobsapi.models.condor import CondorJob, CondorWorkflow, CondorWorkflowJobNode

STREAMED = {"stream_output": "output", "stream_error": "error"}
"""Streamed, what a job says can be read while it says it; else HTCondor brings the file when the job has ended.

Not where the job names the file itself, which may be its result: when a schedd crashes and the running job finds it
again, what was streamed before stands in the file twice (measured with 23.9; the job itself runs once).
"""
STAYING = re.compile(r"leave_in_queue|(\+|my\.)leavejobinqueue")
"""Lines that keep a job in the queue when it has ended."""
MADE_AT_ONCE = 2_000
"""Of a larger job HTCondor makes no more procs at a time (late materialization): it is accepted at once, however many
there are. Bare ``condor_submit`` makes some 800 a second.
"""
LOGS = ("log", "output", "error")
"""Where condorpy's templates put these, every job's are: without the lines HTCondor would keep none of them."""


class SubmitDescription(Job):  # type: ignore[misc]
    """A condorpy Job whose text says what its attributes say.

    Names are the same in any case of letters, as for HTCondor. Zero and False are values; None and "" leave a line out.
    A list becomes what the line takes. What is appended by ``marks`` stands last and cannot be changed.
    """

    def __init__(
        self, name: str, attributes: Mapping[str, Any], num_jobs: int = 1, marks: Mapping[str, str] | None = None
    ) -> None:
        object.__setattr__(self, "_marks", dict(marks or {}))
        super().__init__(name, num_jobs=num_jobs)
        for attribute, value in attributes.items():
            if plain(attribute) != "job_name":
                self.set(attribute, value)

    def __str__(self) -> str:
        """The text of the submit description."""
        marks = [f"My.{name} = {quoted(value)}" for name, value in self._marks.items()]
        return "\n".join([*self._list_attributes(), *marks, "", f"queue {self.num_jobs}", ""])

    def __copy__(self) -> SubmitDescription:
        return SubmitDescription(self.name, self.attributes, self.num_jobs, self._marks)

    def __deepcopy__(self, memo: dict[int, Any]) -> SubmitDescription:
        return self.__copy__()

    @property
    def marks(self) -> Mapping[str, str]:
        """The attributes of the job in the queue by which it is found again."""
        return dict(self._marks)

    @property
    def job_file(self) -> str:
        """The path of the submit description, relative to where it is submitted."""
        return posixpath.normpath(posixpath.join(self.folder, f"{self.name}.job"))

    @property
    def folder(self) -> str:
        """``initial_dir``; "." when each proc has its own, as with ``run_$(Process)``."""
        return "." if "$" in self.initial_dir else posixpath.normpath(self.initial_dir)

    def set(self, attr: str, value: Any) -> None:
        """Set a line. Raises ``InvalidJob`` for a value that would not stay on it."""
        own = plain(attr)
        name = next((each for each in self.attributes if plain(each) == own), attr)
        self.attributes[name] = line(name, value) or ""

    def get(self, attr: str, value: Any = None, resolve: bool = True) -> Any:
        """The text of a line, macros replaced where this description defines them; ``value`` if there is none."""
        own = plain(attr)
        text = next((text for name, text in self.attributes.items() if plain(name) == own), None)
        if not text:
            return value
        if "$" not in text or not resolve:
            return text
        values = {**self.macros, "cluster": str(self.cluster_id)}
        return value_of(own, values, lambda match: match[0])

    @property
    def macros(self) -> dict[str, str]:
        """What the names of its lines stand for, in small letters."""
        return macros({name: text for name, text in self.attributes.items() if text}, {})

    def _list_attributes(self) -> list[str]:
        return [f"{name} = {text}" for name, text in self.attributes.items() if text]


def describe(part: CondorJob | CondorWorkflowJobNode) -> SubmitDescription:
    """The submit description of a job or of a node, with the lines of its template below its own.

    Its name, which its files are named by, is that of the node, or what a path takes of the job's. Raises
    ``InvalidJob`` for what could not be written, or would say something else than it seems to.
    """
    workflow: CondorWorkflow | None = getattr(part, "workflow", None)
    job_name = slug(part.name) if workflow is None else part.name
    check_count("num_jobs", part.num_jobs)
    attributes = template(part.condorpy_template_name)
    usual = template("base")
    given = {plain(name) for name in part.attributes}
    for name, value in part.attributes.items():
        twin = next((each for each in attributes if plain(each) == plain(name)), name)
        attributes[twin] = value
    if any(name not in given and not attributes.get(name) for name in LOGS):
        attributes.setdefault("logdir", usual["logdir"])
        for name in LOGS:
            if name not in given:
                attributes[name] = attributes.get(name) or usual[name]
    if str(attributes.get("universe") or "vanilla").lower() == "vanilla":
        for name, log in STREAMED.items():
            if not {name, log} & given:
                attributes[name] = True
    attributes |= {name: leaving(name, value) for name, value in attributes.items() if STAYING.fullmatch(plain(name))}
    if part.num_jobs > MADE_AT_ONCE and not {"max_materialize", "max_idle"} & given:
        attributes["max_materialize"] = MADE_AT_ONCE
    attributes["job_name"] = job_name
    whole: Any = workflow or part
    if whole.reports:
        attributes = reports.transferring(attributes)
    check_attributes(attributes, getattr(part, "variables", None))
    return SubmitDescription(job_name, attributes, part.num_jobs, marks_of(workflow or part))


def leaving(name: str, value: Any) -> str:
    """The value of such a line, so that a job that is removed goes: else it is “being removed” for ever."""
    return f"(JobStatus =!= 3) && ({text})" if (text := scalar(name, value)) else ""


def template(name: str) -> dict[str, Any]:
    """The lines of one of condorpy's templates; none for an empty name. Raises ``InvalidJob`` if there is no such."""
    if not name:
        return {}
    check_template(name, TEMPLATES)
    return deepcopy(dict(getattr(Templates(), name)))


def marks_of(job: Any) -> dict[str, str]:
    """What is put on all that one attempt of a job or workflow has in the queue; nothing before it is executed.

    The first two find it again; the others say whose it was, should its row be gone. Every user of the pool can read
    them, as the name of its files.
    """
    if job.submission_id is None:
        return {}
    return {
        "JobsApiId": job.submission_id.hex,
        "JobsApiPortal": conf.get("PORTAL"),
        "JobsApiJob": job.uid.hex,
        "JobsApiApp": slug(job.label) if job.label else "",
        "JobsApiName": slug(job.name),
    }
