"""What befalls the way to a submit host: cut at any moment, in a command, in a transfer; silent."""

from __future__ import annotations

import time
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import psutil

from jobsapi import conf
from tests.chaos.faults import NotHere
from tests.chaos.faults.hooks import hooked, hooks_of
from tests.chaos.faults.htcondor import ASKERS, CHARGED, SUBMITTERS, pool_of
from tests.rig.condor import CondorPool

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

AFTER_THE_CUT = 5.0
"""Seconds after which a command that was cut goes on by itself."""


class SshCut:
    """All connections are cut, at any moment."""

    name = "SSH cut"

    def inject(self, stage: Stage, rng: Random) -> None:
        pool_of(stage).cut_ssh()


class SshCutInCommand:
    """Cut while a command runs, which goes on: one that submits, before it has or when it has, or one that asks.

    So a submission lands that nobody waits for any more, or has landed and its answer is lost.
    """

    name = "SSH cut in a command"

    def inject(self, stage: Stage, rng: Random) -> None:
        pool = pool_of(stage)
        hooks = hooks_of(pool)
        charge, entered, gone_on = hooks / "charge", hooks / "entered", hooks / "cut"
        tools, begins = rng.choice([(SUBMITTERS, True), (SUBMITTERS, False), (ASKERS, True), (ASKERS, False)])
        rest = f'touch "{entered}"; n=0; until [ -e "{gone_on}" ] || [ $n -ge {AFTER_THE_CUT * 10:.0f} ]; do '
        rest += "sleep 0.1; n=$((n + 1)); done"
        what = rest if begins else f'"$0" "$@"; status=$?; {rest}; exit $status'
        taken = f'[ -n "${{SSH_CONNECTION:-}}" ] && mv "{charge}" "{charge}.$$" 2>/dev/null'
        try:
            charge.touch(0o666)
            with hooked(pool, tools, f"if {taken}; then {what}; fi\n"):
                if not stage.until(entered.exists, CHARGED):
                    raise NotHere(f"nobody has run {tools[0]} over SSH in {CHARGED:g} s")
                pool.cut_ssh()
                gone_on.touch()
            stage.say(f"cut {'before' if begins else 'after'} {tools[0]} or the like did its work")
        finally:
            for path in (charge, entered, gone_on):
                path.unlink(missing_ok=True)


class SshCutInTransfer:
    """Cut while a file is being sent to the submit host, or is being fetched from it."""

    name = "SSH cut in a transfer"

    def inject(self, stage: Stage, rng: Random) -> None:
        pool, wanted = pool_of(stage), rng.uniform(0.2, 8.0) * 1024**2
        before, deadline = moved(sftp_sessions(pool)), time.monotonic() + CHARGED
        while time.monotonic() < deadline:
            stage.tend()
            sessions = sftp_sessions(pool)
            for _ in range(100):
                if sum(now - before.get(pid, 0) for pid, now in moved(sessions).items()) > wanted:
                    stage.say(f"cut {pool.cut_ssh()} sessions after {wanted / 1024**2:.1f} MiB")
                    return
                time.sleep(0.002)  # a file of some MiB takes a moment
        raise NotHere(f"no {wanted / 1024**2:.1f} MiB were transferred in {CHARGED:g} s")


class SshSilent:
    """The host takes connections and says nothing, for longer than the portal waits."""

    name = "SSH silent"

    def inject(self, stage: Stage, rng: Random) -> None:
        with pool_of(stage).frozen_ssh():
            stage.wait(max(conf.get("SSH_TIMEOUT"), conf.get("POLL_TIMEOUT")) * rng.uniform(1.1, 1.6))


def sftp_sessions(pool: CondorPool) -> list[psutil.Process]:
    """The processes that serve transfers."""
    found = []
    for pid in pool.ssh_sessions:
        with suppress(psutil.Error):
            session = psutil.Process(pid)
            if any("internal-sftp" in word for word in session.cmdline()):
                found.append(session)
    return found


def moved(sessions: list[psutil.Process]) -> dict[int, int]:
    """How many bytes each of them has passed on."""
    passed = {}
    for session in sessions:
        with suppress(psutil.Error):
            passed[session.pid] = session.io_counters().read_chars
    return passed


FAULTS = (SshCut(), SshCutInCommand(), SshCutInTransfer(), SshSilent())
