"""The real backends, each with points before and after whatever it does to its scheduler. Loaded by dotted path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.chaos.points import around
from tests.chaos.wrapping import pointed

CALLS = (
    *("find", "stage", "poll", "cancel", "hold", "release", "control_parts", "fetch_results", "cleanup", "logs"),
    "write_result",
)


def __getattr__(name: str) -> Any:
    """``Dask`` or ``Condor``: made when it is asked for, so that nobody imports what he does not use."""
    makers = {"Dask": _dask, "Condor": _condor}
    if name not in makers:
        raise AttributeError(name)
    globals()[name] = made = makers[name]()
    return made


def _with_points(backend: Any) -> Any:
    def submit(self: Any, jobs: Sequence[Any]) -> Iterator[Any]:
        outcomes = backend.submit(self, jobs)
        while True:
            with around("submit"):
                outcome = next(outcomes, None)
            if outcome is None:
                return
            yield outcome

    wrapped = {name: pointed(name, getattr(backend, name)) for name in CALLS}
    return type(backend.__name__, (backend,), {**wrapped, "submit": submit, "__module__": __name__})


def _dask() -> Any:
    from jobsapi.backends.dask.backend import DaskBackend
    from jobsapi.backends.dask.client import Exchanges

    class PointedExchanges(Exchanges):
        publish = pointed("publish", Exchanges.publish)
        gather = pointed("gather", Exchanges.gather)

        def run(self, function: Any, *args: Any, timeout: float) -> Any:
            with around(f"Dask's {function.__name__}"):
                return super().run(function, *args, timeout=timeout)

    class Pointed(_with_points(DaskBackend)):  # type: ignore[misc]
        def __init__(self, scheduler: Any) -> None:
            super().__init__(scheduler)
            self.exchanges = PointedExchanges(scheduler)

    return Pointed


def _condor() -> Any:
    from jobsapi.backends.condor import CondorBackend

    class Pointed(_with_points(CondorBackend)):  # type: ignore[misc]
        def _run(self, command: Sequence[str], timeout: float | None = None) -> Any:
            with around(command[0]):
                return super()._run(command, timeout)

    return Pointed
