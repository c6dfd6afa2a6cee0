"""What the sample jobs do: plain functions that Dask's workers can import. Nothing here knows of Django."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

TASKS = 80
POINTS, ROUND = 70_000_000, 50_000
"""Points of a task, which take half a second of one core; a round of them fits into its cache."""

CELLS, BLOCK, EXCHANGE = 256, 32, 100


def count_in_batches(batches: int, reporter: Callable[..., bool] | None = None) -> Any:
    """A graph, whose result is the estimate of π; its tasks say through ``reporter`` what each has found."""
    from dask.delayed import delayed

    return delayed(estimate_pi)([delayed(count_hits)(seed, reporter) for seed in range(batches)])


def count_hits(seed: int, reporter: Callable[..., bool] | None = None) -> int:
    """How many of ``POINTS`` random points in the unit square lie in the quarter circle."""
    random, hits = np.random.default_rng(seed), 0
    for _ in range(POINTS // ROUND):
        x, y = random.random((2, ROUND))
        hits += int(np.count_nonzero(x * x + y * y < 1.0))
    if reporter is not None:
        reporter(message=f"Batch {seed + 1} puts π at {4 * hits / POINTS:.5f}.")
    return hits


def estimate_pi(hits: Sequence[int]) -> dict[str, float]:
    """The estimate of π that the hits of all tasks make together, with its standard error."""
    points = POINTS * len(hits)
    share = sum(hits) / points
    error = 4 * (share * (1 - share) / points) ** 0.5
    return {"pi": round(4 * share, 7), "standard error": round(error, 7), "points": points}


def heat_in_a_plate(rounds: int) -> Any:
    """A Dask array: how warm each block of a plate is on average, ``rounds`` of diffusion after a corner was hot."""
    import dask.array as da  # here, since a worker calls this: the web process needs no arrays

    start = np.zeros((CELLS, CELLS))
    start[: CELLS // 4, : CELLS // 4] = 100.0
    plate = da.from_array(start, chunks=CELLS // 2)
    for _ in range(0, rounds, EXCHANGE):  # blocks tell each other their edges once in EXCHANGE rounds
        plate = plate.map_overlap(diffuse, depth=EXCHANGE, boundary="nearest", rounds=EXCHANGE, dtype=float)
    return da.coarsen(np.mean, plate, {0: BLOCK, 1: BLOCK}).round(1)


def diffuse(plate: np.ndarray[Any, Any], rounds: int) -> np.ndarray[Any, Any]:
    """A piece of the plate after ``rounds`` in each of which every cell moves towards the mean of its neighbours."""
    for _ in range(rounds):
        edged = np.pad(plate, 1, mode="edge")
        neighbours = edged[:-2, 1:-1] + edged[2:, 1:-1] + edged[1:-1, :-2] + edged[1:-1, 2:]
        plate = plate + 0.2 * (neighbours - 4 * plate)
    return plate


def simulate(depths: Sequence[float]) -> float:
    """Fails when one of the depths is negative."""

    def checked(station: int) -> float:
        depth = depths[station - 1]
        if depth < 0:
            raise ValueError(f"station {station} has a depth of {depth} m; a depth cannot be negative")
        return depth

    return sum(checked(station) for station in range(1, len(depths) + 1))
