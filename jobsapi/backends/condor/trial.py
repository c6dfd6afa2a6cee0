"""An HTCondor scheduler is put to the test, step by step, over a connection that nobody else uses."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from jobsapi import conf
from jobsapi.backends.base import Finding, Outcome, Step
from jobsapi.backends.condor import ads, control, words
from jobsapi.backends.condor.ads import Ad
from jobsapi.backends.condor.schedd import Schedd
from jobsapi.backends.condor.transport import SshTransport, Transport, own_transport
from jobsapi.backends.condor.transport.local import workspaces
from jobsapi.exceptions import BackendError, BackendUnavailable, HostKeyNotAccepted, InvalidJob, LoginFailed
from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.htcondor.values import quoted

TESTED_SINCE = (23, 9)
"""The oldest version of HTCondor that jobsapi is tested with."""
DIGITS = 10
"""What has as many is not believed to be a number of anything that is asked here."""
PAUSE = 0.5
"""Seconds between two looks at the tiny job."""
LEFT_ALONE = 3600
"""Seconds after which HTCondor itself removes a tiny job whose worker has died."""
IDLE, RUNNING, HELD = 1, 2, 5
"""https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html#JobStatus"""
SUBMIT_FILE, OUTPUT, SAID = "trial.sub", "trial.out", "It runs."
ATTRIBUTES = ("JobStatus", "HoldReason", "HoldReasonCode", "HoldReasonSubCode", "LastRejMatchReason")


def trial(scheduler: Any) -> Iterator[Step]:
    """The steps. The connection is closed with the iterator."""
    transport = own_transport(scheduler)
    try:
        yield from connection(transport)
        tried = Trial(Schedd(transport), scheduler.pk)
        yield Step("Account", tried.account)
        yield Step("Versions", tried.versions)
        yield Step("Slots", tried.slots)
        yield Step("A tiny job", lambda: tried.tiny_job(conf.get("TRIAL_TIMEOUT")))
    finally:
        transport.close()


def connection(transport: Transport) -> Iterator[Step]:
    """How to get there."""
    if not isinstance(transport, SshTransport):
        here = Finding("The schedd is on the machine of the workers: there is nothing to connect to.")
        yield Step("Connection", lambda: here)
        return
    login = transport.login
    refusal: BackendUnavailable | None = None

    def greeted() -> Finding:
        nonlocal refusal
        try:
            transport.open()
        except (HostKeyNotAccepted, LoginFailed) as error:  # the host is there: a later step says what is wrong
            refusal = error
        return Finding(f"The submit host {login.place} answers over SSH.")

    def known() -> Finding:
        if isinstance(refusal, HostKeyNotAccepted):
            raise refusal
        return Finding(f"{login.host_key.split()[0]} {fingerprint(login.host_key)} is the accepted one.")

    def logged_in() -> Finding:
        if refusal is not None:
            raise refusal
        return Finding(f"The host takes us for {login.username}.")

    yield Step("Connection", greeted)
    yield Step("Host key", known)
    yield Step("Login", logged_in)


class Trial:
    """What is asked of a schedd that can be reached."""

    def __init__(self, schedd: Schedd, scheduler: int) -> None:
        self.schedd = schedd
        self.transport = schedd.transport
        uid = uuid5(NAMESPACE_OID, f"{conf.get('PORTAL')} trial of scheduler {scheduler}").hex
        self.mark = uid
        """The same at every trial: so the next one removes what one that was cut short has left."""
        place = str(workspaces() / "scheduler-trials")
        self.folder = self.transport.folder_of(place, f"trial-{scheduler}", uid, conf.get("PORTAL"))

    def account(self) -> Finding:
        """Whose jobs they are."""
        return Finding(f"HTCondor takes us for {self.schedd.identity}, who may submit jobs.")

    def versions(self) -> Finding:
        """Whether tools and schedd fit."""
        return fit(*control.versions_of(self.schedd.run(control.VERSIONS).out))

    def slots(self) -> Finding:
        """How much can run at once."""
        said = self.schedd.run(("condor_status", "-af", "State", "Cpus"))
        if said.status:
            message = f"The pool does not tell what slots it has: {control.refusal(said.err or said.out)}"
            return Finding(message, Outcome.DOUBTFUL)
        return room(said.out)

    def tiny_job(self, seconds: float) -> Finding:
        """Whether a job is taken, run within so many ``seconds``, and its output brought back; then it is removed."""
        self._remove()
        try:
            self.transport.stage(self.folder, texts={SUBMIT_FILE: description(self.mark)}, folders=[], inputs={})
            found = self._outcome(self._submitted(), seconds)
        except BackendUnavailable:  # to remove it now would only wait for the same time-outs again
            raise
        except BackendError:
            self._remove()
            raise
        self._remove()
        return found

    def _submitted(self) -> int:
        command = ("condor_submit", "-terse", SUBMIT_FILE)
        said = self.transport.run(command, folder=self.folder, timeout=conf.get("SUBMIT_TIMEOUT"))
        if control.unreachable(said.status, said.err):
            raise BackendUnavailable(control.refusal(said.err))
        if said.status:
            raise InvalidJob(f"HTCondor does not take it: {control.refusal(said.err)}")
        return control.cluster_id_of(said.out)

    def _outcome(self, cluster: int, seconds: float) -> Finding:
        end = time.monotonic() + seconds
        while (ad := self._look(cluster)) is not None:
            status = ads.number(ad, "JobStatus")
            if status == HELD and ads.number(ad, "HoldReasonCode") != words.SPOOLING:
                raise InvalidJob(f"It was accepted as cluster {cluster}. {words.held(ad)}")
            if time.monotonic() >= end:
                return overdue(cluster, ad, seconds)
            time.sleep(PAUSE)
        path = posixpath.join(self.folder, OUTPUT)
        said = self.transport.read([path], limit=1_000).get(path)
        if said is None or said.decode(errors="replace").strip() != SAID:
            what = "is empty" if said == b"" else "is not there" if said is None else f"says {said[:100]!r}"
            raise InvalidJob(f"It ran as cluster {cluster}, and its output {what}.")
        return Finding(f"It ran as cluster {cluster}, and its output came back.")

    def _look(self, cluster: int) -> Ad | None:
        """What the queue tells of the job; None when it is there no more."""
        constraint = f"ClusterId == {cluster} && JobsApiId =?= {quoted(self.mark)}"
        command = ("condor_q", "-json", "-attributes", ",".join(ATTRIBUTES), "-allusers", "-constraint", constraint)
        return next(iter(self.schedd.ads(command)), None)

    def _remove(self) -> None:
        """Remove the job, and its folder. Where there is none, that is fine."""
        self.schedd.remove_marked([self.mark], "The test in the portal is over.")
        self.transport.remove([self.folder])


def description(mark: str) -> str:
    """The submit description of the tiny job. Files are transferred, as no two machines need share a disk.

    Output and error are streamed, as those of other jobs are: so it needs the same rights to its folder.
    """
    lines = {
        "universe": "vanilla",
        "executable": "/bin/sh",
        "transfer_executable": "false",
        "arguments": f"\"-c 'echo {SAID}'\"",
        "output": OUTPUT,
        "error": "trial.err",
        "stream_output": "true",
        "stream_error": "true",
        "log": "trial.log",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "request_cpus": "1",
        "request_memory": "32MB",
        "request_disk": "1MB",
        "periodic_remove": f"time() - QDate > {LEFT_ALONE}",
        "My.JobsApiId": quoted(mark),
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items()) + "queue\n"


def fit(tools: str, schedd: str) -> Finding:
    """Whether versions fit: of the tools at the submit host, of its schedd, and what jobsapi was tested with."""
    facts = {"tools": tools or "not told", "schedd": schedd or "not told"}
    told = f"The tools at the submit host are HTCondor {facts['tools']}, its schedd is {facts['schedd']}."
    numbers = [number(version) for version in (tools, schedd) if version]
    if len(numbers) < 2:
        return Finding(f"{told} Whether they fit cannot be said.", Outcome.DOUBTFUL, facts)
    if numbers[0][:1] != numbers[1][:1]:
        advice = "Install the same series for both: others may not understand each other."
        return Finding(f"{told} {advice}", Outcome.DOUBTFUL, facts)
    if min(numbers) < TESTED_SINCE:
        oldest = ".".join(map(str, TESTED_SINCE))
        return Finding(f"{told} jobsapi is tested with {oldest} and later.", Outcome.DOUBTFUL, facts)
    return Finding(f"{told} They fit.", facts=facts)


def number(version: str) -> tuple[int, ...]:
    """``(23, 9, 6)`` of ``23.9.6``; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() and len(part) < DIGITS else 0 for part in version.split("."))


def room(answer: str) -> Finding:
    """The slots that ``condor_status -af State Cpus`` has listed."""
    slots = [line.split() for line in answer.splitlines() if len(line.split()) == 2]
    cores = [(state, int(cpus)) for state, cpus in slots if cpus.isdecimal() and len(cpus) < DIGITS]
    total = sum(count for _, count in cores)
    if not total:
        return Finding("The pool has no slot now: jobs wait.", Outcome.DOUBTFUL, capacity=0)
    free = sum(count for state, count in cores if state == "Unclaimed")
    return Finding(f"{len(cores):,} slots with {total:,} processors, {free:,} of them free.", capacity=total)


def overdue(cluster: int, ad: Ad, seconds: float) -> Finding:
    """A job that has not ended in time. That is no fault of the scheduler's: the pool may be full."""
    if ads.number(ad, "JobStatus") != IDLE:
        message = f"It was accepted as cluster {cluster}, but did not end within {seconds:g} s. It was removed."
        return Finding(message, Outcome.DOUBTFUL)
    reason = words.sentence(ads.text(ad, "LastRejMatchReason")) or "The pool may be full, or nothing fits."
    message = f"It was accepted as cluster {cluster}, but did not start within {seconds:g} s. {reason} It was removed."
    return Finding(message, Outcome.DOUBTFUL)
