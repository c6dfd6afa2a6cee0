"""What this portal has at a schedd and its submit host: jobs in the queue, and folders of jobs.

On this machine the folders of jobs lie in their users' workspaces, and nobody looks for them there.
"""

from __future__ import annotations

import glob
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from jobsapi import conf
from jobsapi.backends.base import Accepted, Adoption, Found
from jobsapi.backends.condor import ads, control
from jobsapi.backends.condor.ads import Ad, number, ours, quoted, text
from jobsapi.backends.condor.layout import DAGMANS_FILES
from jobsapi.backends.condor.transport import Transport
from jobsapi.exceptions import BackendUnavailable, InvalidJob

MARK = ".jobsapi"
"""The file that says whose an own folder is: ``AtHTCondor.MARK``."""
MARK_MAX = 200
"""Bytes of it that are read."""
LISTED = (
    *("ClusterId", "ProcId", "JobStatus", "JobUniverse", "QDate", "Cmd"),
    *("JobsApiId", "JobsApiJob", "JobsApiApp", "JobsApiName"),
)
"""What an inventory asks for: an answer holds it once per part."""
NEEDED = (*LISTED, "Iwd", "UserLog", "Out", "Err", "Args", "Arguments", "TotalSubmitProcs", "DAG_NodesTotal")
"""What is asked for to take a job over."""
NAMED = 500
"""Parts whose logs are looked at to know how those of all are called."""
RECORDS = 20
"""Records of the history that are read of a job that has left the queue."""
STATES = {1: "waiting", 2: "running", 3: "being removed", 4: "completed", 5: "held", 6: "running", 7: "suspended"}
REASON = "An administrator of the portal had it removed."
FOLDERS = (
    "sh",
    "-c",
    f"""cd -- "$1" 2>/dev/null || exit 0
m() {{ find . -mindepth 2 -maxdepth 2 -type f -name {MARK} -size -{MARK_MAX}c "$@" 2>/dev/null; }}
m -printf '%T@ %P\\n'; m -print0 | xargs -0 -r grep -a -m 1 -H '' || :""",
    "sh",
)
"""Tells of each own folder in ``$1`` when it was made, and what its mark says."""

Ask = Callable[[Sequence[str]], list[Ad]]
"""Runs a question, and gives the ads of its answer. Raises ``BackendUnavailable``."""


class Inventory:
    """What belongs to this portal at one schedd, asked for as one account."""

    def __init__(self, transport: Transport, identity: str, ask: Ask, *, remote: bool) -> None:
        self.transport = transport
        self.identity = identity
        self.ask = ask
        self.remote = remote
        """Whether the submit host is another machine: then own folders lie in one place there."""

    def found(self) -> list[Found]:
        """All of it. Of a job that is in the queue the folder is not told apart."""
        folders = list(self._folders())  # first: what is submitted meanwhile is no folder without a job then
        jobs = jobs_in(self.ask(question("condor_q", LISTED, self._owned(), "-allusers")))
        at_work = {job.uid for job in jobs} | {job.submission_id for job in jobs}
        return jobs + [each for each in folders if not {each.uid, each.submission_id} & at_work]

    def adoption(self, found: Found) -> Adoption:
        """See ``Backend.adopt``. What has left the queue is looked for in the history."""
        wanted = f"{self._owned()} && JobsApiId =?= {quoted(found.submission_id.hex)}"
        answer = self.ask(question("condor_q", NEEDED, wanted, "-allusers"))
        if not answer:
            bounds = ("-limit", str(RECORDS), "-scanlimit", str(ads.FIND_SCAN))
            answer = self.ask(question("condor_history", NEEDED, wanted, *bounds))
        cluster = ads.accepted(answer, ()).get(found.submission_id.hex)
        if found.native_id and cluster is not None:
            cluster = int(found.native_id)
        parts = [ad for ad in answer if number(ad, "ClusterId") == cluster]
        if cluster is None or not parts:
            raise InvalidJob(
                "HTCondor knows nothing of the job any more, so nobody can tell how it has ended. "
                "Fetch by hand what you need of its files, then remove them."
            )
        return self._adoption(found, cluster, parts)

    def removal(self, found: Found) -> list[str] | None:
        """The command that takes it out of the queue; None for a folder, which only has files."""
        if not found.native_id:
            return None
        wanted = f"JobsApiId =?= {quoted(found.submission_id.hex)} && ClusterId == {int(found.native_id)}"
        return ["condor_rm", "-reason", control.plain(REASON), "-constraint", f"{self._owned()} && {wanted}"]

    def discard_files(self, found: Found) -> None:
        """Remove its folder at a submit host, if that still says that it is this job's."""
        if not self.remote or found.uid is None:
            return
        folder = self.transport.folder_of("", "", found.uid.hex, conf.get("PORTAL"))
        path = f"{folder}/{MARK}"
        mark = self.transport.read([path], limit=MARK_MAX).get(path, b"").decode("ascii", "replace")
        if mark.startswith(f"{found.uid.hex} "):
            self.transport.remove([folder])

    def _owned(self) -> str:
        """An expression that is true of what this portal submitted itself: not of what DAGMan did for it."""
        portal = f"JobsApiPortal =?= {quoted(conf.get('PORTAL'))}"
        return f"{ours(self.identity)} && {portal} && JobsApiId =!= undefined && DAGManJobId =?= undefined"

    def _folders(self) -> Iterator[Found]:
        if not self.remote:
            return
        place = posixpath.dirname(self.transport.folder_of("", "", UUID(int=0).hex, conf.get("PORTAL")))
        said = self.transport.run([*FOLDERS, place], folder=None, timeout=conf.get("TRANSFER_TIMEOUT"))
        if said.status:
            raise BackendUnavailable(f"The folders of jobs could not be listed: {control.refusal(said.err)}")
        yield from folders_in(said.out, place)

    def _adoption(self, found: Found, cluster: int, parts: Sequence[Ad]) -> Adoption:
        own = self._own_folder(found, text(parts[0], "Iwd"))
        is_workflow = is_dagman(parts[0])
        total = number(parts[0], "DAG_NodesTotal" if is_workflow else "TotalSubmitProcs") or len(parts)
        dag = dag_file_of(parts[0]) if is_workflow else ""
        logs = [f"{glob.escape(dag)}{ending}" for ending in DAGMANS_FILES] if dag else log_patterns(parts, own)
        state: dict[str, Any] = {"logs": logs, "parts": total, "remote": self.remote, "adopted": True}
        if dag:
            state["status_file"] = f"{dag.removesuffix('.dag')}.{found.submission_id.hex[:8]}.status"
        workspace = ""
        if not self.remote:
            workspace, state["own_folder"] = posixpath.split(own)
        kind = "CondorWorkflow" if is_workflow else "CondorJob"
        name, label = text(parts[0], "JobsApiName"), text(parts[0], "JobsApiApp")
        return Adoption(Accepted(str(cluster), state, total), kind, name, label, workspace)

    def _own_folder(self, found: Found, started_in: str) -> str:
        """The path of its own folder: the one above where it was started that has its mark. Raises ``InvalidJob``."""
        above = [PurePosixPath(started_in), *PurePosixPath(started_in).parents]
        uid = found.uid.hex if found.uid else ""
        if self.remote:
            owns = [path for path in above if path.name == uid]
        else:
            marks = self.transport.read([str(path / MARK) for path in above], limit=MARK_MAX)
            owns = [path for path in above if uid and marks.get(str(path / MARK), b"").startswith(uid.encode())]
        if not owns:
            raise InvalidJob(f"Its folder is not to be found: it was started in {started_in or 'an unknown place'}.")
        return str(owns[0])


def question(tool: str, attributes: Collection[str], constraint: str, *options: str) -> list[str]:
    """A command that asks for jobs, as JSON."""
    return [tool, "-json", "-attributes", ",".join(attributes), *options, "-constraint", constraint]


def jobs_in(answer: Iterable[Ad]) -> list[Found]:
    """Jobs and workflows in the queue, from the ads of all their parts."""
    parts: defaultdict[int, list[Ad]] = defaultdict(list)
    for ad in answer:
        cluster = number(ad, "ClusterId")
        if cluster is not None and uuid_of(text(ad, "JobsApiId")) is not None:
            parts[cluster].append(ad)
    return [job_of(cluster, parts[cluster]) for cluster in sorted(parts)]


def job_of(cluster: int, parts: Sequence[Ad]) -> Found:
    """What one cluster is."""
    first, is_workflow = parts[0], is_dagman(parts[0])
    attempt, queued = uuid_of(text(first, "JobsApiId")), [number(ad, "QDate") for ad in parts]
    assert attempt is not None
    states = Counter(STATES.get(number(ad, "JobStatus") or 0, "in an unknown state") for ad in parts)
    counted = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    return Found(
        id=str(cluster),
        what="workflow" if is_workflow else "job",
        submission_id=attempt,
        uid=uuid_of(text(first, "JobsApiJob")),
        kind="CondorWorkflow" if is_workflow else "CondorJob",
        native_id=str(cluster),
        name=text(first, "JobsApiName"),
        label=text(first, "JobsApiApp"),
        words=counted if len(parts) > 1 else next(iter(states)),
        since=datetime.fromtimestamp(min(filter(None, queued)), UTC) if any(queued) else None,
    )


def folders_in(listed: str, place: str) -> Iterator[Found]:
    """Own folders, from what ``FOLDERS`` prints. What is called otherwise than its mark says is none of ours."""
    made: dict[str, float] = {}
    for line in listed.splitlines():
        if stamp := re.fullmatch(rf"(\d+(?:\.\d+)?) ([0-9a-f]{{32}})/{re.escape(MARK)}", line):
            made[stamp[2]] = float(stamp[1])
        elif mark := re.fullmatch(rf"\./([0-9a-f]{{32}})/{re.escape(MARK)}:\1 ([0-9a-f]{{32}})\s*", line):
            since = datetime.fromtimestamp(made[mark[1]], UTC) if mark[1] in made else None
            yield Found(
                id=f"{place}/{mark[1]}",
                what="folder",
                submission_id=UUID(mark[2]),
                uid=UUID(mark[1]),
                kind="CondorJob",
                words="the files of a job that is not in the queue",
                since=since,
            )


def is_dagman(ad: Ad) -> bool:
    """Whether this is a workflow's own job."""
    return number(ad, "JobUniverse") == ads.SCHEDULER_UNIVERSE and "dagman" in text(ad, "Cmd")


def dag_file_of(ad: Ad) -> str:
    """The DAG file that a DAGMan runs; empty if it does not say so."""
    said = re.search(r"(?:^|\s)-[Dd]ag\s+(\S+)", text(ad, "Arguments") or text(ad, "Args"))
    return posixpath.basename(said[1].strip("'\"")) if said else ""


def log_patterns(parts: Sequence[Ad], own: str) -> list[str]:
    """Glob patterns, relative to the folder ``own``, of what HTCondor writes of these parts and of their like."""
    found: dict[str, None] = {}
    for ad in parts[:NAMED]:
        ids = f"{number(ad, 'ClusterId')}.{number(ad, 'ProcId')}"
        for path in (text(ad, name) for name in ("UserLog", "Out", "Err")):
            whole = posixpath.normpath(posixpath.join(text(ad, "Iwd"), path))
            if path and whole.startswith(f"{own}/"):
                before, like, after = whole.removeprefix(f"{own}/").partition(ids)
                same_cluster = f"{number(ad, 'ClusterId')}.*" if like else ""
                found[f"{glob.escape(before)}{same_cluster}{glob.escape(after)}"] = None
    return list(found)


def uuid_of(said: str) -> UUID | None:
    """A UUID from its 32 hex digits; None for anything else."""
    return UUID(said) if re.fullmatch(r"[0-9a-f]{32}", said) else None
