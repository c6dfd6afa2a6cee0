"""The broker, with all the messages that it has."""

from __future__ import annotations

from random import Random

from tests.chaos.faults import Fault
from tests.chaos.stage import Stage


class Killed:
    """It keeps nothing on disk: every message is lost."""

    name = "kill -9 of Valkey with loss of all messages"

    def inject(self, stage: Stage, rng: Random) -> None:
        stage.kill("valkey")
        stage.wait(2)


class Silent:
    """It takes connections and answers nobody."""

    name = "Valkey is silent for seconds"

    def inject(self, stage: Stage, rng: Random) -> None:
        with stage.frozen("valkey"):
            stage.wait(rng.uniform(1, 5))


FAULTS: list[Fault] = [Killed(), Silent()]
