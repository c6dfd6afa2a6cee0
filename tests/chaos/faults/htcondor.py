"""What befalls the schedd: killed, killed in the middle of a submission, silent, slow."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import psutil

from jobsapi import conf
from tests.chaos.faults import NotHere
from tests.chaos.faults.hooks import hooked, hooks_of
from tests.rig.condor import CondorPool

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

SUBMITTERS = ("condor_submit", "condor_submit_dag")
ASKERS = ("condor_q", "condor_history", "condor_rm", "condor_ping")
BACK = 60.0
"""Seconds in which a schedd that was killed is surely there again."""
CHARGED = 20.0
"""Seconds that a charge waits for somebody to submit; without one it is taken back."""


def pool_of(stage: Stage) -> CondorPool:
    """The stage's pool. Raises ``NotHere``."""
    if stage.pool is None:
        raise NotHere("there is no HTCondor pool")
    return stage.pool


class ScheddKilled:
    """kill -9 at any moment. The master starts another one."""

    name = "schedd killed"

    def inject(self, stage: Stage, rng: Random) -> None:
        pool = pool_of(stage)
        pool.kill_schedd()
        back(stage, pool)


class ScheddKilledInSubmit:
    """kill -9 some milliseconds after a condor_submit has begun, so that nobody can say whether the job arrived."""

    name = "schedd killed in a submission"

    def inject(self, stage: Stage, rng: Random) -> None:
        pool = pool_of(stage)
        charge, schedd = hooks_of(pool) / "charge", pool.schedd
        after = rng.uniform(0.005, 0.08)
        kill = f"(sleep {after:.3f}; kill -KILL {schedd}) >/dev/null 2>&1 &"
        charge.touch(0o666)
        try:
            with hooked(pool, SUBMITTERS, f'if mv "{charge}" "{charge}.$$" 2>/dev/null; then {kill} fi\n'):
                if not stage.until(lambda: not charge.exists(), CHARGED):
                    raise NotHere(f"nobody has submitted anything in {CHARGED:g} s")
        finally:
            charge.unlink(missing_ok=True)
        stage.say(f"killed {1000 * after:.0f} ms after the call")
        stage.until(lambda: not psutil.pid_exists(schedd), BACK)
        back(stage, pool)


class ScheddSilent:
    """Stopped for longer than the portal waits for an answer."""

    name = "schedd silent"

    def inject(self, stage: Stage, rng: Random) -> None:
        with pool_of(stage).frozen_schedd():
            stage.wait(conf.get("POLL_TIMEOUT") * rng.uniform(1.2, 2.0))


class ScheddHalting:
    """Stopped for moments, again and again: answers come, late."""

    name = "schedd halting"

    def inject(self, stage: Stage, rng: Random) -> None:
        pool = pool_of(stage)
        for _ in range(10):
            with pool.frozen_schedd():
                stage.wait(conf.get("POLL_TIMEOUT") * rng.uniform(0.05, 0.3))
            stage.wait(rng.uniform(0.05, 0.3))


class ToolsSlow:
    """Every tool takes its time before it asks the schedd; some take longer than the portal waits for them."""

    name = "tools slow"

    def inject(self, stage: Stage, rng: Random) -> None:
        longest = round(1_300 * conf.get("POLL_TIMEOUT"))
        with hooked(pool_of(stage), [*SUBMITTERS, *ASKERS], f'sleep "$(shuf -i 0-{longest} -n 1)e-3"\n'):
            stage.wait(conf.get("POLL_TIMEOUT") * rng.uniform(2.0, 3.0))


def back(stage: Stage, pool: CondorPool) -> None:
    """Wait until the schedd answers again."""
    if not stage.until(pool.is_ready, BACK):
        raise TimeoutError(f"The schedd has not come back in {BACK:g} s.")


FAULTS = (ScheddKilled(), ScheddKilledInSubmit(), ScheddSilent(), ScheddHalting(), ToolsSlow())
