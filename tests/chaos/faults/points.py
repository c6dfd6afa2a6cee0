"""Processes that kill themselves at a named point of the lifecycle."""

from __future__ import annotations

from random import Random

from tests.chaos import points
from tests.chaos.faults import Fault, NotHere
from tests.chaos.stage import Stage

AT_ONCE = 8
"""Points that are charged together. Who comes to one dies, now or later in the campaign."""
PATIENCE = 6.0
"""Seconds in which somebody may come to the first of them."""
SAVED = ("execute", "stop", "resubmit", "delete", "pause", "resume")
"""What a web process does: points of these lie between its first write and its message."""


class AtPoints:
    """Those at which nobody was killed so far go first."""

    def __init__(self, name: str, verbs: tuple[str, ...], *, of_web: bool) -> None:
        self.name = name
        self._verbs = verbs
        self._of_web = of_web

    def inject(self, stage: Stage, rng: Random) -> None:
        before = points.killed()
        here = [name for name in points.known() if (name.partition(":")[0] in self._verbs) is self._of_web]
        here = [name for name in here if not points.charged(name)]
        if not here:
            raise NotHere("Nobody has passed a point yet.")
        rng.shuffle(here)
        chosen = sorted(here, key=lambda name: before[name])[:AT_ONCE]
        for name in chosen:
            points.charge(name)
        stage.until(lambda: any(points.killed()[name] > before[name] for name in chosen), PATIENCE)
        after = points.killed()
        at_once = [name for name in chosen if after[name] > before[name]]
        stage.say(f"charged {len(chosen)}, killed at once at {', '.join(at_once) or 'none'}")


FAULTS: list[Fault] = [
    AtPoints("kill -9 at a named point of a worker", SAVED, of_web=False),
    AtPoints("kill -9 of a web process between save and publish", SAVED, of_web=True),
]
