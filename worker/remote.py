"""Remote control: whoever reaches the broker may see what Flower shows of a worker, and change nothing about it.

Celery would also let them stop workers, change their pools and queues, refuse tasks, and read all of Django's settings.
Here an administrator does that with the process manager; the portal itself needs none of it.
"""

from __future__ import annotations

from typing import Any

from celery.worker.control import Panel

# fmt: off
ANSWERED = frozenset({
    "active", "active_queues", "clock", "hello", "ping", "query_task", "registered", "reserved", "revoked", "scheduled",
    "stats",
})
# fmt: on
"""https://docs.celeryq.dev/en/stable/userguide/workers.html#remote-control"""

SHOWN = ("accept_content", "enable_utc", "task_acks_late", "task_serializer", "timezone", "worker_prefetch_multiplier")
"""Of the configuration, what Flower is told."""


def refused(state: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
    """The answer to everything else. It is given in silence: Flower asks for some of it all the time."""
    return {"error": "Workers of jobsapi do not take this command. Use the process manager."}


def conf(state: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What is no secret of the configuration."""
    return {name: state.app.conf[name] for name in SHOWN}


def restrict() -> None:
    """Have workers of this process answer no other commands."""
    answered = {Panel.data[name] for name in ANSWERED}
    shown = Panel.data["conf"]
    for name, handler in Panel.data.items():
        if handler not in answered:
            Panel.data[name] = conf if handler in (shown, conf) else refused


restrict()
