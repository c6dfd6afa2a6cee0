"""The app's own work: nothing here knows of jobs."""

from pathlib import Path

import dask.array


def depth_at(station):
    """How deep the water is at a station, in metres."""
    return 2.5 + station % 7


def simulate(river, hours):
    """The water level of a river hour by hour, as a Dask array."""
    return dask.array.linspace(len(river), len(river) + 1.0, hours, chunks=6)


def summarise(depths):
    """The highest and the lowest of many depths."""
    return {"highest": float(max(depths)), "lowest": float(min(depths))}


def draw(workspace):
    """Leaves a map and a log in the workspace; what it returns says how many rivers are on the map."""
    folder = Path(workspace, "out")
    folder.mkdir(parents=True)
    (folder / "map.png").write_bytes(b"\x89PNG")
    (folder / "run.log").write_text("drawn")
    return 12
