"""What the HTCondor samples run, and what becomes of the files that they leave. Nothing here knows of Django."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("scripts")
"""Shell scripts and their inputs: programs that HTCondor takes to where they run. They need nothing but ``awk``."""


def estimate_pi(job: Any) -> dict[str, float]:
    """The estimate of π that the hits of all procs make together. A worker calls it when the job has ended."""
    counts = [[int(word) for word in path.read_text().split()] for path in Path(job.initial_dir).glob("hits.*")]
    hits, points = map(sum, zip(*counts, strict=True))
    share = hits / points
    error = 4 * (share * (1 - share) / points) ** 0.5
    return {"pi": round(4 * share, 6), "standard error": round(error, 6), "points": points}


def flood_report(workflow: Any) -> dict[str, float]:
    """What the workflow's last node has written, as a dict. A worker calls it when the workflow has ended."""
    lines = (workflow.folder / "report" / "report.txt").read_text().splitlines()
    return {name: float(value) for name, value in (line.split(": ") for line in lines)}
