"""What has to lie in a job's own folder, and the command to submit it from there. Reads the disk only."""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobsapi.backends.condor.dag import Dag, DagNode, dag_of
from jobsapi.backends.condor.description import LOGS, SubmitDescription, describe, marks_of
from jobsapi.backends.condor.staging import Staging
from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.attributes import NOWHERE, check_together, remap_targets
from jobsapi.htcondor.macros import value_of
from jobsapi.htcondor.names import REPORT_FILE
from jobsapi.htcondor.options import appended, check_options
from jobsapi.htcondor.values import quoted

if TYPE_CHECKING:
    from jobsapi.models.condor import CondorJob, CondorWorkflow

FOLDERS_MAX = 10_000
"""Folders that are made for the procs of one job."""
WITHOUT_EXECUTABLE = {"docker", "container", "vm", "grid"}
"""Universes in which the program need not be a file of the job's."""
DAGMANS_FILES = (".dagman.out", ".dagman.log", ".lib.out", ".lib.err", ".nodes.log", ".rescue*")
"""What DAGMan writes beside a DAG file, to look at when something is wrong."""
AFTER_SWEEPING = """
find . -type f -name '*.lock' -exec sh -c '
    for lock; do
        [ -e "${lock%.lock}.dagman.out" ] || continue
        pid=$(sed -n "s/^PID = //p" "$lock")
        case $(ps -o args= -p "${pid:-0}" 2>/dev/null) in *dagman*) ;; *) rm -f "$lock" ;; esac
    done
' sh {} +
exec "$@"
"""
"""Removes the locks of DAGMans that are not running, those of sub-DAGs in sub-DAGs too, then runs what follows.

A DAGMan that was killed or removed while it was held leaves its lock. The next one takes that for a crash, reads in the
old log what the nodes have come to, and ends with that: well, if they had ended well, and without running anything.
Neither ``-f`` nor ``-update_submit`` prevents that (23.9).
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """One attempt of a job as it is to be submitted. All paths are relative to the job's own folder, with "/"."""

    submit: tuple[str, ...]
    """The command, to be run in the own folder."""
    texts: Mapping[str, str]
    """Files that are written, and what stands in them."""
    folders: tuple[str, ...]
    """Folders that HTCondor expects to be there."""
    inputs: Mapping[str, Path]
    """Files and folders of this machine, by where they go."""
    logs: tuple[str, ...]
    """Glob patterns of the logs that there will be."""
    initial_dir: str
    """Where output files go; "." for the own folder itself."""
    parts: int
    """How many procs or nodes it has."""
    mark: str
    """Which attempt it is: its ``submission_id`` as hex, as in the queue; "" before it is executed."""
    dag_file: str = ""
    status_file: str = ""
    report_files: tuple[str, ...] = ()
    """Where the file lies that tells the job how to report: where each of its procs or nodes begins."""
    resumes: bool = False
    """Whether it goes on with what an earlier attempt has left in the own folder."""


def layout_of(job: CondorJob | CondorWorkflow, *, inputs_are_there: bool = False) -> Layout:
    """What one attempt needs. Raises ``InvalidJob`` for what cannot be run, and for inputs that are not there.

    ``inputs_are_there``: it has been submitted, so nobody looks for its inputs, and ``inputs`` is left empty.
    """
    staged = None if inputs_are_there else Staging(job.workspace)
    return _workflow(cast("CondorWorkflow", job), staged) if job.is_workflow else _job(cast("CondorJob", job), staged)


def _job(job: CondorJob, staged: Staging | None) -> Layout:
    check_options(job.submit_options, for_dag=False)
    description = describe(job)
    check_together({**description.macros, **appended(job.submit_options, for_dag=False)})
    _require_executable(job.name, description)
    texts = {description.job_file: str(description)}
    folders = tuple(dict.fromkeys(_folders(description, "")))
    report_files = tuple(dict.fromkeys(_report_files(description, ""))) if job.reports else ()
    if staged is not None:
        staged.add(job.remote_input_files)
        executable = str(description.get("executable") or "")
        if not staged.add_unless_there(executable) and _is_transferred(description):
            raise InvalidJob(f"The executable {executable} is neither among remote_input_files nor in the workspace.")
        staged.add_inputs(description, "")
        staged.check_room({**texts, **dict.fromkeys(report_files, ""), job.MARK: ""}, folders)
    return Layout(
        submit=("condor_submit", "-terse", *job.submit_options, description.job_file),
        texts=texts,
        folders=folders,
        inputs=staged.inputs if staged is not None else {},
        logs=tuple(dict.fromkeys(_logs(description, ""))),
        initial_dir=description.folder,
        parts=description.num_jobs,
        mark=job.submission_id.hex if job.submission_id else "",
        report_files=report_files,
    )


def _workflow(workflow: CondorWorkflow, staged: Staging | None) -> Layout:
    check_options(workflow.submit_options, for_dag=True)
    dag = dag_of(workflow)
    texts, folders = {dag.dag_file: str(dag)}, list[str]()
    report_files: dict[str, str] = {}
    for node in dag.ordered:
        if isinstance(node.job, SubmitDescription):
            if not (node.noop or node.done):
                _require_executable(node.name, node.job)
            texts[posixpath.join(node.folder, node.job.job_file)] = str(node.job)
            folders += _folders(node.job, node.folder)
            report_files |= dict.fromkeys(_report_files(node.job, node.folder) if workflow.reports else (), "")
    if staged is not None:
        _stage_nodes(workflow, dag, staged)
        staged.check_room({**texts, **report_files, workflow.MARK: ""}, folders, before=f"{dag.dag_file}.")
    resumes = workflow.resubmitted and not workflow.from_start
    return Layout(
        submit=_submit_dag(workflow, dag, resumes=resumes),
        texts=texts,
        folders=tuple(dict.fromkeys(folders)),
        inputs=staged.inputs if staged is not None else {},
        logs=_logs_of_dag(dag),
        initial_dir=".",
        parts=len(dag.ordered),
        mark=workflow.submission_id.hex if workflow.submission_id else "",
        dag_file=dag.dag_file,
        status_file=dag.status_file,
        report_files=tuple(report_files),
        resumes=resumes,
    )


def _stage_nodes(workflow: CondorWorkflow, dag: Dag, staged: Staging) -> None:
    """Raises ``InvalidJob`` for what DAGMan could not do without. What another node may make need not be there."""
    staged.add([*workflow.remote_input_files, *([workflow.config] if workflow.config else [])])
    for node in dag.ordered:
        staged.add(node.remote_input_files, node.folder)
    for node in dag.ordered:
        needed = [script for script in (node.pre_script, node.post_script) if script]
        needed += [node.job.job_file] * (node.keyword == "SPLICE")
        for path in needed:
            if not staged.add_unless_there(path, node.folder):
                raise InvalidJob(f"{node.name}: {path} is neither among remote_input_files nor in the workspace.")
        if isinstance(node.job, SubmitDescription):
            staged.add_unless_there(str(node.job.get("executable") or ""), node.folder)
            staged.add_inputs(node.job, node.folder)
        else:
            staged.add_unless_there(node.job.job_file, node.folder)


def _submit_dag(workflow: CondorWorkflow, dag: Dag, *, resumes: bool) -> tuple[str, ...]:
    """``-update_submit`` takes the rescue DAG if DAGMan has left one, and minds no files of an earlier attempt.

    Without it, condor_submit_dag refuses where there are such files but no rescue DAG. ``-f`` puts rescue DAGs aside.
    """
    marks = (f"My.{name} = {quoted(value)}" for name, value in marks_of(workflow).items())
    appended = [word for line in (*marks, *_ends(dag)) for word in ("-append", line)]
    how = "-update_submit" if resumes else "-f"
    command = ("condor_submit_dag", how, *appended, *workflow.submit_options, dag.dag_file)
    return ("sh", "-c", AFTER_SWEEPING, "sh", *command) if workflow.resubmitted else command


def _ends(dag: Dag) -> Iterator[str]:
    """Have the schedd let DAGMan end with an exit code that ABORT-DAG-ON gives it.

    What condor_submit_dag writes knows 0 to 2; after any other the schedd starts DAGMan again, for ever (23.9).
    """
    given = ((node.abort_dag_on, node.abort_dag_on_return_value) for node in dag.ordered)
    codes = sorted({(on if code is None else code) & 255 for on, code in given if on is not None} - {0, 1, 2})
    if codes:
        listed = ", ".join(map(str, codes))
        known = "ExitSignal =?= 11 || (ExitCode =!= undefined && ExitCode >= 0 && ExitCode <= 2)"
        yield f"on_exit_remove = ({known} || member(ExitCode, {{{listed}}}))"


def _path_of(node: DagNode) -> str:
    """The DAG file of a SUBDAG or SPLICE node, relative to the own folder."""
    return posixpath.normpath(posixpath.join(node.folder, node.job.job_file))


def _require_executable(name: str, description: SubmitDescription) -> None:
    universe = str(description.get("universe") or "").lower()
    if not description.get("executable") and universe not in WITHOUT_EXECUTABLE:
        raise InvalidJob(f"{name} has no executable. Set one: job.set_attribute('executable', …).")


def _is_transferred(description: SubmitDescription) -> bool:
    """Whether the executable has to be at the submit host."""
    sent = str(description.get("transfer_executable") or "true").lower() not in ("false", "f", "no", "0")
    return sent and str(description.get("universe") or "").lower() not in WITHOUT_EXECUTABLE


def _folders(description: SubmitDescription, base: str) -> Iterator[str]:
    """Where it writes: HTCondor makes none of these, and holds the job, or refuses it, when one is not there."""
    yield posixpath.normpath(posixpath.join(base, description.folder))
    values = description.macros
    targets = [each for each in remap_targets(values.get("transfer_output_remaps", "")) if "://" not in each]
    for proc in _procs(description):

        def unknown(match: re.Match[str], proc: int = proc) -> str:
            return str(proc) if _is_process(match) else "*"

        start = posixpath.join(base, value_of("initialdir", values, unknown) or ".")
        files = [*(value_of(name, values, unknown) for name in LOGS), *targets]
        for folder in ["", *(posixpath.dirname(path) for path in files if path != NOWHERE)]:
            path = posixpath.normpath(posixpath.join(start, folder))
            if "*" in path:
                raise InvalidJob(
                    f"{description.name} writes to folders whose names are known only when it runs: {path}. "
                    "Use no macro but $(Process) in them."
                )
            yield path


def _report_files(description: SubmitDescription, base: str) -> Iterator[str]:
    """Beside what each of its procs writes."""
    for proc in _procs(description):

        def known(match: re.Match[str], proc: int = proc) -> str:
            return str(proc) if _is_process(match) else match[0]

        start = value_of("initialdir", description.macros, known) or "."
        yield posixpath.normpath(posixpath.join(base, start, REPORT_FILE))


def _procs(description: SubmitDescription) -> Iterable[int]:
    """The procs that may write to folders of their own; the first for all if they share theirs."""
    texts = [str(description.get(name) or "") for name in ("initialdir", "logdir")]
    texts += [posixpath.dirname(str(description.get(name) or "")) for name in LOGS]
    if not any("$" in text for text in texts):
        return range(1)
    if description.num_jobs > FOLDERS_MAX:
        raise InvalidJob(f"{description.name} has a folder for each proc, which is good for {FOLDERS_MAX} at most.")
    return range(description.num_jobs)


def _is_process(match: re.Match[str]) -> bool:
    return match["dollars"] == "$" and not match["function"] and match["name"].strip().lower() in ("process", "procid")


def _logs(description: SubmitDescription, base: str) -> Iterator[str]:
    """The patterns of what HTCondor writes of a job: what is known only later is "*"."""
    values, later = description.macros, "\0"
    folder = value_of("initialdir", values, lambda _: later) or "."
    for name in LOGS:
        path = value_of(name, values, lambda _: later)
        if path and path != NOWHERE:
            pattern = glob.escape(posixpath.normpath(posixpath.join(base, folder, path)))
            yield re.sub(f"{later}+", "*", pattern)


def _logs_of_dag(dag: Dag) -> tuple[str, ...]:
    patterns = [f"{glob.escape(dag.dag_file)}{ending}" for ending in DAGMANS_FILES]
    for node in dag.ordered:
        if isinstance(node.job, SubmitDescription):
            patterns += _logs(node.job, node.folder)
        elif node.keyword == "SUBDAG":
            patterns += [f"{glob.escape(_path_of(node))}{ending}" for ending in DAGMANS_FILES]
    return tuple(dict.fromkeys(patterns))
