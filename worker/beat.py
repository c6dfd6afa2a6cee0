"""Beat's schedule, which bears with a clock that is set back."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler


class SteadyScheduler(PersistentScheduler):
    """What ran “in the future” ran now: Celery's own would send nothing until the clock is there again.

    That is so in a beat whose clock is set back, and in one that finds such times in the file of the schedule.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; the seconds until the next look."""
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at and entry.last_run_at > now:
                entry.last_run_at = now
                self._heap = None  # reckoned by the times that were wrong
        seconds: float = super().tick(*args, **kwargs)
        return seconds
