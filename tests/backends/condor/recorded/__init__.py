"""What real pools answered, HTCondor 23.9.6 and 25.14.1: some forty jobs and workflows at three moments of their lives.

The texts are as the tools and DAGMan wrote them, but for folders. ``JobsApiId`` is the name of a case (``d_`` before it
for a workflow) where the portal would have an attempt's id. Queue and history are the answers to ``ads.queue_command``
and ``ads.history_command``; ``statuses.*.json`` has each workflow's node status file; ``clusters.json``: which cluster
is which case.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jobsapi.backends.base import Observation
from jobsapi.backends.condor import node_status
from jobsapi.backends.condor.ads import Ad, number, parse_ads
from jobsapi.backends.condor.observe import nodes_of, observe_job, observe_workflow, positions

VERSIONS = ("23.9.6", "25.14.1")
MOMENTS = ("mid", "late", "end")
"""Some seconds after the start; a quarter of a minute later; when all that could end had ended or was removed."""


@dataclass
class Recorded:
    """The answers of one pool, and what has been learned from them so far."""

    version: str
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def queue(self, moment: str) -> list[Ad]:
        """The answer of ``condor_q``."""
        return parse_ads(_text(self.version, f"queue.{moment}.json"))

    def history(self) -> list[Ad]:
        """The answer of ``condor_history`` at the end."""
        return parse_ads(_text(self.version, "history.json"))

    def status_file(self, case: str, moment: str) -> str:
        """The text of a workflow's node status file."""
        text: str = json.loads(_text(self.version, f"statuses.{moment}.json"))[case]
        return text

    def cluster(self, case: str) -> int:
        """The cluster that a case became."""
        cluster: int = json.loads(_text(self.version, "clusters.json"))[case]
        return cluster

    def job(self, case: str, moment: str) -> Observation | None:
        """What is seen of a job; what it adds to the state is kept for the next moment."""
        queue = self.queue(moment)
        cluster = self.cluster(case)
        state = self.states.setdefault(case, {})
        seen = observe_job(_of(queue, cluster), self._left(cluster, moment), state, None, positions(queue).get(cluster))
        state.update(seen.state if seen else {})
        return seen

    def workflow(self, case: str, moment: str) -> Observation | None:
        """The same for a workflow."""
        queue = self.queue(moment)
        cluster = self.cluster(case)
        state = self.states.setdefault(case, {})
        waiting, ended = _of(queue, cluster), self._left(cluster, moment)
        statuses = json.loads(_text(self.version, f"statuses.{moment}.json"))
        status = node_status.parse(statuses.get(case, ""))
        dagman = next(iter(waiting or ended), None)
        seen = observe_workflow(dagman, not waiting, nodes_of(queue, cluster), status, state, positions(queue))
        state.update(seen.state if seen else {})
        return seen

    def _left(self, cluster: int, moment: str) -> list[Ad]:
        return _of(self.history(), cluster) if moment == "end" else []


def _of(ads: Sequence[Ad], cluster: int) -> list[Ad]:
    return [ad for ad in ads if number(ad, "ClusterId") == cluster]


@cache
def _text(version: str, name: str) -> str:
    return (Path(__file__).parent / version / name).read_text()
