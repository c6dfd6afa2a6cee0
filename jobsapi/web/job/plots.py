"""A preview's numbers as shapes of an SVG picture. Only numbers get in, so nothing that a job made can be markup."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

WIDTH, HEIGHT = 480, 160
CELL = 8
"""The side of a cell of a picture, in units of the drawing."""

RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Viridis, from low to high: it reads alike in print, in the dark, and for people who do not see all colours."""


def drawn(plot: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the template draws: ``width``, ``height``, ``low``, ``high``, and ``lines`` (points) or ``cells``."""
    if not plot:
        return None
    low, high = float(plot["low"]), float(plot["high"])
    if "line" in plot:
        return {"width": WIDTH, "height": HEIGHT, "low": low, "high": high, "lines": _lines(plot["line"], low, high)}
    picture = plot["picture"]
    cells = [
        {"x": x * CELL, "y": y * CELL, "fill": _colour(_share(value, low, high))}
        for y, row in enumerate(picture)
        for x, value in enumerate(row)
        if value is not None
    ]
    size = {"width": max(map(len, picture)) * CELL, "height": len(picture) * CELL, "side": CELL}
    return {**size, "low": low, "high": high, "cells": cells}


def _lines(values: Sequence[float | None], low: float, high: float) -> list[str]:
    """The points of one line for each run of numbers; a gap parts them. A lone point gets a stub."""
    step = WIDTH / max(len(values) - 1, 1)
    lines = []
    for missing, run in groupby(enumerate(values), key=lambda pair: pair[1] is None):
        if not missing:
            points = [f"{x * step:.1f},{HEIGHT - 4 - _share(y, low, high) * (HEIGHT - 8):.1f}" for x, y in run]
            lines.append(" ".join(points if len(points) > 1 else points * 2))
    return lines


def _share(value: Any, low: float, high: float) -> float:
    # In halves: the difference of two numbers may be more than a float can hold.
    return (float(value) / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5


def _colour(share: float) -> str:
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    index = min(int(place), len(RAMP) - 2)
    mixed = [round(one + (two - one) * (place - index)) for one, two in zip(RAMP[index], RAMP[index + 1], strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)
