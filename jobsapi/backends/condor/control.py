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


def remove_command(
    identity: str,
    marks: Collection[str],
    reason: str,
    ids: Collection[str] | None = None,
    sub_dags: Collection[int] = (),
) -> list[str]:
    """Remove attempts, by the hex of their ``submission_id``, or only some of what they have in the queue.

    ``ids``: parts (``"12.3"``) and nodes (``"13"``). Of a whole workflow DAGMan alone is removed: it takes its nodes
    along. ``sub_dags``: the clusters of the DAGMans of nodes that are sub-DAGs, which carry no mark.
    """
    own = _of(ids) if ids is not None else "DAGManJobId =?= undefined"
    inner = f" || member(ClusterId, {listed(sub_dags)})" if sub_dags else ""
    return [
        "condor_rm",
        "-reason",
        plain(reason),
        "-constraint",
        f"{ours(identity)} && (({_marked(marks)}) && ({own}){inner})",
    ]


def remove_marked_command(identity: str, marks: Collection[str], reason: str) -> list[str]:
    """Remove all that attempts have in the queue: jobs, DAGMans and nodes.

    For what may be there although nobody waits for it. Where there is nothing it fails, and that means nothing.
    """
    return ["condor_rm", "-reason", plain(reason), "-constraint", f"{ours(identity)} && ({_marked(marks)})"]


def hold_command(
    identity: str,
    marks: Collection[str],
    reason: str,
    ids: Collection[str] | None = None,
    sub_dags: Collection[int] = (),
) -> list[str]:
    """Hold attempts, or only some of what they have in the queue; see ``remove_command``.

    A workflow's DAGMan is held together with its nodes, in one transaction: held alone, it leaves its nodes running,
    and would only be deaf to them. ``sub_dags``: the clusters of the DAGMans of its sub-DAGs (``state["sub_dags"]``).
    """
    constraint = f"{ours(identity)} && JobStatus != 5 && ({_chosen(marks, ids, sub_dags)})"
    return ["condor_hold", "-reason", plain(reason), "-constraint", constraint]


def release_commands(
    identity: str,
    marks: Collection[str],
    reason: str,
    ids: Collection[str] | None = None,
    sub_dags: Collection[int] = (),
) -> list[list[str]]:
    """Release attempts, or only some of what they have in the queue, by two commands, to be run in this order.

    DAGMan then reads its log and goes on where it was. Since HTCondor 25 a DAGMan that was held waits up to 5 minutes
    before it is started again (SCHEDULER_UNIVERSE_COOL_DOWN_DURATION); the second command ends this wait. It fails,
    and that means nothing, where no such wait is on, as in older versions.
    """
    chosen = _chosen(marks, ids, sub_dags)
    release = f"{ours(identity)} && JobStatus == 5 && ({chosen})"
    cooling = f"{ours(identity)} && JobUniverse == 7 && JobCoolDownExpiration > 0 && ({chosen})"
    return [
        ["condor_release", "-reason", plain(reason), "-constraint", release],
        ["condor_qedit", "-constraint", cooling, "JobCoolDownExpiration", "0"],
    ]


def _chosen(marks: Collection[str], ids: Collection[str] | None, sub_dags: Collection[int]) -> str:
    own = f"({_marked(marks)})" + (f" && ({_of(ids)})" if ids is not None else "")
    inner = f" || member(ClusterId, {listed(sub_dags)}) || member(DAGManJobId, {listed(sub_dags)})" if sub_dags else ""
    return own + inner


def _marked(marks: Collection[str]) -> str:
    """An expression that is true of what carries the mark of an attempt.

    A cluster's number alone is not to be believed: when a schedd is set up anew, it gives the same numbers to others.
    """
    return " || ".join(f"JobsApiId =?= {quoted(each)}" for each in sorted(marks)) or "false"


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
_REFUSED = re.compile(
    r"""jobs\ would\ exceed | exceeds\ SUBMIT_MAX_PROCS
        | Failed\ to\ commit\ job\ submission\ into\ the\ queue\.?\s*\n\s*ERROR:\s*
          (?!(?:SECMAN|CEDAR|AUTHENTICATE|DCSchedd):|Failed|C(?:an't|onnection|ould))
    """,
    re.VERBOSE,
)
"""A limit or a rule of the site (SUBMIT_REQUIREMENT), told after words that otherwise mean that the schedd died."""


def unreachable(status: int, err: str) -> bool:
    """Whether a failed command says that the schedd was not reached, or went away in the middle.

    Then nothing is known about what was asked, and it is not the job's fault. Any other failure of ``condor_submit``
    is a refusal of the job. Words that a submit description may bring along do not count.
    """
    return status != 0 and _UNREACHED.search(err) is not None and _REFUSED.search(err) is None


_FULL = re.compile(r"jobs would exceed (?:MAX_JOBS_SUBMITTED|MAX_JOBS_PER_OWNER)\b")
"""The limits of a schedd to jobs in its queue: it takes more when others have left it. That to the size of a single
submission (MAX_JOBS_PER_SUBMISSION) is no such: it is refused for good.

https://htcondor.readthedocs.io/en/latest/admin-manual/configuration-macros.html#MAX_JOBS_PER_OWNER
"""


def full(err: str) -> bool:
    """Whether a failed ``condor_submit`` says that the schedd has as many jobs as it takes now."""
    return _FULL.search(err) is not None


_TERSE = re.compile(r"^\s*(\d{1,18})\.\d+ - (\d{1,18})\.\d+\s*$", re.MULTILINE)
_SENTENCE = re.compile(r"submitted to cluster (\d{1,18})\.?\s*$", re.MULTILINE)


def cluster_id_of(out: str) -> int:
    """The cluster from what a ``condor_submit -terse`` or a ``condor_submit_dag`` that succeeded has printed.

    Raises ``InvalidJob`` when there is none or more than one: a description may queue one cluster.
    """
    clusters = sorted({int(each[0]) for each in _TERSE.findall(out)} | {int(each) for each in _SENTENCE.findall(out)})
    if len(clusters) != 1:
        named = ", ".join(str(each) for each in clusters) or "none"
        raise InvalidJob(f"One cluster was expected from the submission, but HTCondor made: {named}.")
    return clusters[0]


VERSIONS = ("condor_ping", "-type", "SCHEDD", "WRITE", "-verbose")
"""Asks the schedd for its version, and tells that of the tools beside it."""


def versions_of(out: str) -> tuple[str, str]:
    """The versions of the tools and of the schedd, as ``23.9.6``, from what ``VERSIONS`` prints; "" if not told."""
    found = dict(re.findall(r"^(Local|Remote)\s+Version:\s+\$CondorVersion:\s+(\S+)", out, re.MULTILINE))
    return found.get("Local", ""), found.get("Remote", "")


EXTRA = "Extra Info:"
"""Begins what HTCondor's tools add to an error: guesses at its cause, a paragraph for each."""


def refusal(err: str) -> str:
    """HTCondor's words for refusing a job or for not answering, on one line, without its notices.

    What it adds as "Extra Info" is for whoever set up the pool, and is left out unless it says nothing else.
    """
    lines = [" ".join(line.split()) for line in err.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("WARNING", "Renaming ", "To monitor your job"))]
    said, _, extra = " ".join(kept).partition(EXTRA)
    first = extra.partition(EXTRA)[0].strip().partition(". ")[0]
    return said.strip()[:1_000] or first[:1_000] or "HTCondor refused it and gave no reason."


def _of(ids: Collection[str]) -> str:
    """An expression that is true of clusters (``"12"``) and of single parts (``"12.3"``)."""
    clusters = {int(each) for each in ids if "." not in each}
    procs: dict[int, set[int]] = {}
    for each in ids:
        cluster, dot, proc = each.partition(".")
        if dot:
            procs.setdefault(int(cluster), set()).add(int(proc))
    terms = [f"member(ClusterId, {listed(clusters)})"] if clusters else []
    terms += [among(cluster, numbers) for cluster, numbers in sorted(procs.items())]
    return " || ".join(terms) or "false"
