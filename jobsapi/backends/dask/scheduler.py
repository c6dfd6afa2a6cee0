"""What runs on the Dask scheduler itself. Shipped by value, so that the cluster need not have jobsapi installed.

Each function reads the scheduler's own tables and returns plain data. It runs on the scheduler's event loop, which does
nothing else meanwhile: hence the limits.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict

import cloudpickle

from jobsapi.backends.dask import tasks as counting
from jobsapi.backends.dask.tasks import counts, reached, shortened, total

ERRORS_SHOWN = 5
TRACEBACK_CHARACTERS = 20_000


class Failure(TypedDict):
    """One task that raised."""

    task: Any
    """Its key."""
    exception: str
    """``repr`` of the exception."""
    traceback: str


class Pinned(TypedDict):
    """What the scheduler knows of one published dataset."""

    key: Any
    """The key of its leaf; None when it has several."""
    leaves: dict[str, int]
    """How many leaves are in which state of Dask, or "missing"."""
    failures: list[Failure]
    """The first few of them."""
    nbytes: int
    busy: bool
    """Whether one of its tasks is at a worker now."""
    done: int | None
    total: int | None
    """Tasks that are done, and that there are; None when they were not counted this time."""
    tasks: list[tuple[Any, ...]] | None
    """The same by name, as ``tasks.Named`` says, in the order in which their first ones run."""


class Snapshot(TypedDict):
    """One answer of the scheduler about many datasets; unknown ones are left out."""

    scheduler_id: str
    started: float
    workers: int
    datasets: dict[str, Pinned]


class Leaf(TypedDict):
    """One leaf of one dataset."""

    key: Any
    state: str
    nbytes: int
    failure: Failure | None


class Held(TypedDict):
    """One dataset that is published, or only reserved."""

    name: str
    key: Any
    """The key of its leaf; None when it has several."""
    leaves: dict[str, int]
    nbytes: int
    published: bool


class Shipped:
    """A function of this module that unpickles where this module cannot be imported."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes]]:
        return cloudpickle.loads, (self.blob,)


@functools.cache
def shipped(function: Callable[..., Any]) -> Shipped:
    """``function`` in a form for ``Client.run_on_scheduler``."""
    modules = (sys.modules[__name__], counting)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return Shipped(cloudpickle.dumps(function))
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def reserve(name: str, keys: Sequence[Any], dask_scheduler: Any = None) -> None:
    """Hold keys in the name of a dataset before their graph is sent.

    Without it, the graph of a client that dies between sending and publishing it is dropped while its first tasks run,
    and the next try runs them again. Afterwards the same holder is what publishing the dataset uses.
    """
    from distributed.scheduler import ClientState

    holder = dask_scheduler.clients.setdefault(holder_of(name), ClientState(holder_of(name)))
    for key in keys:
        ts = dask_scheduler.tasks.get(key) or dask_scheduler.new_task(key, None, "released")
        ts.who_wants = ts.who_wants or set()
        ts.who_wants.add(holder)
        holder.wants_what.add(ts)


def holder_of(name: str) -> str:
    """The pseudo-client by which Dask's publish extension holds the keys of a dataset."""
    return f"published-{name}"


def snapshot(names: Sequence[str], walk_limit: int, dask_scheduler: Any = None) -> Snapshot:
    """The state of published datasets. The tasks of the first ones of ``names`` are counted, ``walk_limit`` in all."""
    published = dask_scheduler.extensions["publish"].datasets
    at_workers = {attempt_of(ts.key) for worker in dask_scheduler.workers.values() for ts in worker.processing}
    datasets: dict[str, Pinned] = {}
    for name in names:
        if name not in published:
            continue
        keys = published[name]["keys"]
        tasks = [dask_scheduler.tasks.get(key) for key in keys]
        counted = counts([ts for ts in tasks if ts is not None], walk_limit)
        walk_limit -= total(counted)
        states = Counter(state_of(ts) for ts in tasks)
        erred = [ts for ts in tasks if state_of(ts) == "erred"]
        datasets[name] = {
            "key": keys[0] if len(keys) == 1 else None,
            "leaves": dict(states),
            "failures": [failure(ts) for ts in erred[:ERRORS_SHOWN]],
            "nbytes": sum(max(ts.nbytes, 0) for ts in tasks if state_of(ts) == "memory"),
            "busy": "processing" in states or any(attempt_of(key) in at_workers for key in keys[:1]),
            "done": sum(named.done for named in counted) if counted else None,
            "total": total(counted) if counted else None,
            "tasks": [tuple(named) for named in shortened(counted)] if counted else None,
        }
    return {
        "scheduler_id": str(dask_scheduler.id),
        "started": dask_scheduler.time_started,
        "workers": len(dask_scheduler.workers),
        "datasets": datasets,
    }


def held(prefix: str, dask_scheduler: Any = None) -> list[Held]:
    """All datasets whose names begin with ``prefix``. No task is walked through."""
    found: list[Held] = []
    for name in names_with((prefix,), dask_scheduler):
        keys = keys_of(name, dask_scheduler)
        tasks = [dask_scheduler.tasks.get(key) for key in keys]
        found.append(
            {
                "name": name,
                "key": keys[0] if len(keys) == 1 else None,
                "leaves": dict(Counter(state_of(ts) for ts in tasks)),
                "nbytes": sum(max(ts.nbytes, 0) for ts in tasks if state_of(ts) == "memory"),
                "published": name in dask_scheduler.extensions["publish"].datasets,
            }
        )
    return found


def leaves(name: str, dask_scheduler: Any = None) -> list[Leaf] | None:
    """The leaves of one dataset; None when it is not published."""
    published = dask_scheduler.extensions["publish"].datasets
    if name not in published:
        return None
    tasks = {key: dask_scheduler.tasks.get(key) for key in published[name]["keys"]}
    return [
        {
            "key": key,
            "state": state_of(ts),
            "nbytes": max(ts.nbytes, 0) if ts else 0,
            "failure": failure(ts) if state_of(ts) == "erred" else None,
        }
        for key, ts in tasks.items()
    ]


def stop(names: Sequence[str], dask_scheduler: Any = None) -> list[str]:
    """Unpublish datasets and take their leaves from all who want them, but never from a dataset of another job.

    Returns the names of which nothing is left. ``Client.cancel`` would do for most, but it raises inside the scheduler
    when one leaf depends on another through a task that nobody wants.
    """
    published = dask_scheduler.extensions["publish"].datasets
    keys = {name: keys_of(name, dask_scheduler) for name in names}
    unpublish(names, dask_scheduler)
    for key in {key for of_one in keys.values() for key in of_one}:
        ts = dask_scheduler.tasks.get(key)
        owners = [owner.client_key for owner in (ts.who_wants or ())] if ts else []
        if not any(owner.startswith(holder_of("")) for owner in owners):
            for owner in owners:
                dask_scheduler.client_releases_keys(keys=[key], client=owner)
            told = {"op": "cancelled-keys", "keys": [key], "reason": "stopped", "msg": "The job was stopped."}
            dask_scheduler.report(told)
    return [name for name in names if name not in published]


def discard(prefixes: Sequence[str], dask_scheduler: Any = None) -> list[str]:
    """Unpublish all datasets whose name starts with one of ``prefixes``; what nobody else wants is then forgotten."""
    names = names_with(tuple(prefixes), dask_scheduler)
    unpublish(names, dask_scheduler)
    return names


def names_with(prefixes: tuple[str, ...], scheduler: Any) -> list[str]:
    """The names of datasets, published or only reserved, that begin with one of ``prefixes``."""
    holders = [client.removeprefix(holder_of("")) for client in scheduler.clients if client.startswith(holder_of(""))]
    known = dict.fromkeys([*scheduler.extensions["publish"].datasets, *holders])
    return [name for name in known if str(name).startswith(prefixes)]


def workers_of(prefix: str, walk_limit: int, limit: int, dask_scheduler: Any = None) -> list[str]:
    """Addresses of ``limit`` workers at most: those with tasks of the datasets named ``prefix...``, or else any."""
    published = dask_scheduler.extensions["publish"].datasets
    keys = [key for name in published if str(name).startswith(prefix) for key in published[name]["keys"]]
    roots = [dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks]
    found: dict[str, None] = {}
    for ts in reached(roots, walk_limit):
        at = [*(ts.who_has or ()), *([ts.processing_on] if ts.processing_on else [])]
        found.update(dict.fromkeys([worker.address for worker in at] + list(ts.erred_on or ())))
    alive = [address for address in found if address in dask_scheduler.workers]
    return (alive or list(dask_scheduler.workers))[:limit]


def threads(dask_scheduler: Any = None) -> int:
    """How many tasks can run at once."""
    return int(dask_scheduler.total_nthreads)


def unpublish(names: Iterable[str], scheduler: Any) -> None:
    """Take datasets away, and the hold that each has on its keys."""
    for name in list(names):
        keys = keys_of(name, scheduler)
        scheduler.extensions["publish"].datasets.pop(name, None)
        if holder_of(name) in scheduler.clients:
            scheduler.client_releases_keys(keys=keys, client=holder_of(name))
            del scheduler.clients[holder_of(name)]


def keys_of(name: str, scheduler: Any) -> list[Any]:
    """The keys that a dataset holds, published already or only reserved."""
    published = scheduler.extensions["publish"].datasets
    holder = scheduler.clients.get(holder_of(name))
    return list(
        dict.fromkeys(
            [
                *(published[name]["keys"] if name in published else ()),
                *(ts.key for ts in (holder.wants_what if holder else ())),
            ]
        )
    )


def state_of(ts: Any) -> str:
    """The state of a task; "missing" also for a key that somebody asked for and nobody has submitted."""
    if ts is None or (ts.state == "released" and ts.run_spec is None):
        return "missing"
    return str(ts.state)


def failure(ts: Any) -> Failure:
    """Why a task erred: the task that raised may be another one, upstream."""
    blame = ts.exception_blame or ts
    text = blame.traceback_text or ""
    return {"task": blame.key, "exception": blame.exception_text or "", "traceback": text[-TRACEBACK_CHARACTERS:]}


def attempt_of(key: Any) -> str:
    """The attempt that a key ends in, or the key itself."""
    return str(key[0] if isinstance(key, tuple) else key).rpartition("@")[2]
