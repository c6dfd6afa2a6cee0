"""Commands that change jobs at a schedd, who we are there, and what its words mean. Pure functions.

Exit statuses of rm, hold and release say little (a job that is gone makes them fail): ask the queue afterwards, and
look only whether the schedd was reached at all (``unreachable``).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from jobsapi.backends.condor.ads import among, listed, ours, quoted
from jobsapi.exceptions import BackendUnavailable, InvalidJob

WHOAMI = ("condor_ping", "-type", "SCHEDD", "WRITE", "-table")
"""Asks the schedd whom it takes us for. The local account says nothing: a tool may be mapped to another one."""


def identity_of(answer: str) -> str:
    """``user@domain`` from what ``WHOAMI`` prints. Raises ``BackendUnavailable`` when the schedd knows nobody."""
    for line in answer.splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "WRITE":
            continue
        decision, identity = words[-2], words[-1]
        if decision == "ALLOW" and "@" in identity and not identity.startswith("unauthenticated@"):
            return identity
        if "FAIL" not in words:
            raise BackendUnavailable(
                f"HTCondor does not let {identity} submit jobs. Ask its administrator to allow WRITE for the account."
            )
    raise BackendUnavailable(
        "HTCondor's schedd does not answer, or does not know who asks (condor_ping -type SCHEDD WRITE fails). "
        "Check that it runs, and that the account may use it."
    )


def remove_command(identity: str, ids: Collection[str], reason: str) -> list[str]:
    """Remove jobs (``"12"``), parts (``"12.3"``) and workflows (DAGMan's cluster alone: it takes its nodes along)."""
    return ["condor_rm", "-reason", plain(reason), "-constraint", f"{ours(identity)} && ({_any_of(ids)})"]


def remove_marked_command(identity: str, submission_ids: Collection[str], reason: str) -> list[str]:
    """Remove all that attempts have in the queue, by the hex of their ``submission_id``: jobs, DAGMans and nodes.

    For what may be there without our knowing its number. Where there is nothing it fails, and that means nothing.
    """
    marked = " || ".join(f"JobsApiId =?= {quoted(each)}" for each in sorted(submission_ids)) or "false"
    return ["condor_rm", "-reason", plain(reason), "-constraint", f"{ours(identity)} && ({marked})"]


def hold_command(identity: str, ids: Collection[str], dagman_ids: Collection[int], reason: str) -> list[str]:
    """Hold jobs, parts, and whole workflows.

    ``dagman_ids`` are the clusters of workflows and of their sub-DAGs (``state["sub_dags"]``). DAGMan is held together
    with its nodes, in one transaction: held alone, it leaves its nodes running, and would only be deaf to them.
    """
    return [
        "condor_hold",
        "-reason",
        plain(reason),
        "-constraint",
        f"{ours(identity)} && JobStatus != 5 && ({_any_of(ids, dagman_ids)})",
    ]


def release_commands(identity: str, ids: Collection[str], dagman_ids: Collection[int], reason: str) -> list[list[str]]:
    """Release jobs, parts, and whole workflows; two commands when there are workflows, to be run in this order.

    DAGMan then reads its log and goes on where it was. Since HTCondor 25 a DAGMan that was held waits up to 5 minutes
    before it is started again (SCHEDULER_UNIVERSE_COOL_DOWN_DURATION); the second command ends this wait. It fails,
    and that means nothing, where no such wait is on, as in older versions.
    """
    constraint = f"{ours(identity)} && JobStatus == 5 && ({_any_of(ids, dagman_ids)})"
    release = ["condor_release", "-reason", plain(reason), "-constraint", constraint]
    if not dagman_ids:
        return [release]
    cooling = f"{ours(identity)} && JobUniverse == 7 && JobCoolDownExpiration > 0 && ({_any_of((), dagman_ids)})"
    return [release, ["condor_qedit", "-constraint", cooling, "JobCoolDownExpiration", "0"]]


def plain(reason: str) -> str:
    """A reason that HTCondor keeps: it reads the text as an expression, and one with quotes is lost or worse."""
    kept = re.sub(r"[^\w.,:;@()/+=#'!?-]+", " ", reason.replace('"', "'"), flags=re.ASCII)
    return kept.strip()[:300]


_UNREACHED = re.compile(
    r"""^\s*(?:condor_\w+:\s*)?(?:ERROR:\s*|Error:\s*)?(?:
        (?:SECMAN|CEDAR|AUTHENTICATE|DCSchedd|AUTHORIZATION):\d+
        | --\s+Failed\ to\ fetch\ ads
        | Failed\ to\ connect\ to\ (?:local\ |)queue\ manager
        | Failed\ to\ (?:commit|create\ (?:proc|cluster)|queue\ job|end\ classad\ message)
        | (?:Can't|can't|Couldn't|couldn't|Could\ not|unable\ to)\ (?:find\ address|locate|contact|connect)
        | Extra\ Info:\ You\ probably\ saw\ this\ error
        | Connection\ (?:closed|refused|reset|timed)
    )""",
    re.VERBOSE | re.MULTILINE,
)
_LIMIT = re.compile(r"jobs would exceed|exceeds SUBMIT_MAX_PROCS")


def unreachable(status: int, err: str) -> bool:
    """Whether a failed command says that the schedd was not reached, or went away in the middle.

    Then nothing is known about what was asked, and it is not the job's fault. Any other failure of ``condor_submit``
    is a refusal of the job. Words that a submit description may bring along do not count.
    """
    return status != 0 and _UNREACHED.search(err) is not None and _LIMIT.search(err) is None


_TERSE = re.compile(r"^\s*(\d+)\.\d+ - (\d+)\.\d+\s*$", re.MULTILINE)
_SENTENCE = re.compile(r"submitted to cluster (\d+)\.?\s*$", re.MULTILINE)


def cluster_id_of(out: str) -> int:
    """The cluster from what a ``condor_submit -terse`` or a ``condor_submit_dag`` that succeeded has printed.

    Raises ``InvalidJob`` when there is none or more than one: a description may queue one cluster.
    """
    clusters = sorted({int(each[0]) for each in _TERSE.findall(out)} | {int(each) for each in _SENTENCE.findall(out)})
    if len(clusters) != 1:
        named = ", ".join(str(each) for each in clusters) or "none"
        raise InvalidJob(f"One cluster was expected from the submission, but HTCondor made: {named}.")
    return clusters[0]


def version_of(out: str) -> str:
    """``23.9.6`` from what ``condor_version`` prints."""
    match = re.search(r"\$CondorVersion:\s+(\S+)", out)
    return match[1] if match else "unknown"


def refusal(err: str) -> str:
    """HTCondor's words for refusing a job, on one line, without its notices."""
    lines = [" ".join(line.split()) for line in err.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("WARNING", "Renaming ", "To monitor your job"))]
    return " ".join(kept)[:1_000] or "HTCondor refused it and gave no reason."


def _any_of(ids: Collection[str], dagman_ids: Collection[int] = ()) -> str:
    clusters = {int(each) for each in ids if "." not in each} | {int(each) for each in dagman_ids}
    procs: dict[int, set[int]] = {}
    for each in ids:
        cluster, dot, proc = each.partition(".")
        if dot:
            procs.setdefault(int(cluster), set()).add(int(proc))
    terms = [f"member(ClusterId, {listed(clusters)})"] if clusters else []
    terms += [among(cluster, numbers) for cluster, numbers in sorted(procs.items())]
    terms += [f"member(DAGManJobId, {listed(dagman_ids)})"] if dagman_ids else []
    return " || ".join(terms) or "false"
