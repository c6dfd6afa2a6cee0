"""The database goes away under everybody, or one of its writers does not let go."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from random import Random

from tests.chaos.faults import Fault, NotHere
from tests.chaos.stage import Stage


class Restarted:
    """PostgreSQL ends without a word to its clients, and recovers when it is started again."""

    name = "PostgreSQL is restarted at once"

    def inject(self, stage: Stage, rng: Random) -> None:
        if stage.database != "postgresql":
            raise NotHere("The database is SQLite.")
        stage.kill("postgresql", rng.choice([signal.SIGQUIT, signal.SIGKILL]))
        stage.wait(3)


class Locked:
    """Another process writes for seconds, and nobody else can."""

    name = "SQLite is locked for seconds"

    def inject(self, stage: Stage, rng: Random) -> None:
        if stage.database != "sqlite":
            raise NotHere("The database is PostgreSQL.")
        with closing(sqlite3.connect(stage.ground.home / "db.sqlite3", timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            seconds = rng.uniform(2, 6)
            stage.wait(seconds)
            stage.say(f"{seconds:.1f} s")
            other.execute("ROLLBACK")


FAULTS: list[Fault] = [Restarted(), Locked()]
