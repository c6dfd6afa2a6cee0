"""Pack what ``execute()`` was given, and give a graph the keys of one attempt. Connects to nothing."""

from __future__ import annotations

import functools
import io
import pickle
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import cloudpickle
import dask
from dask.base import collections_to_expr, is_dask_collection
from dask.core import flatten
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.utils import ensure_dict, format_bytes, key_split
from distributed import Future
from toolz import identity

from jobsapi.backends.dask.tasks import RESULT_OF
from jobsapi.exceptions import BackendError, InvalidJob, WorkNotPicklable

try:
    from dask._task_spec import Task, TaskRef, convert_legacy_graph, cull
except ImportError as error:
    raise ImportError("jobsapi needs dask and distributed 2025.4.1 or later. Upgrade both.") from error


class Graph(NamedTuple):
    """A graph whose keys belong to one attempt."""

    tasks: Mapping[Any, Any]
    leaves: list[str]
    """The key of each leaf's result, in the order in which the leaves were given.

    A result is a task of its own, which only passes the leaf on: its key can be reserved at the scheduler before the
    graph is sent, and the leaf itself keeps its annotations, which Dask gives only to tasks that it did not know.
    """


class _Piece(NamedTuple):
    """The graph of one leaf, with Dask's own keys."""

    tasks: Mapping[Any, Any]
    key: Any
    annotations: Mapping[str, Mapping[Any, Any]]


class _Counter(io.BytesIO):
    """A file that keeps ``limit`` bytes and counts all, so that a huge input is measured and not held."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.size = 0

    def write(self, data: Any) -> int:
        written = memoryview(data).nbytes
        self.size += written
        if self.size <= self.limit:
            super().write(data)
        return written


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """A pickler that meets every object of a graph, and refuses those that would not outlive their client."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Future):
            raise InvalidJob(
                f"The work contains the future {obj.key!r} or data persisted on a cluster, which are gone when the "
                "client that made them closes. Give execute() the graph before persist() or compute(), or the future "
                "itself and nothing else."
            )
        return super().reducer_override(obj)


def packed(work: Any, parts: Mapping[str, Any], limit: int) -> bytes:
    """``work`` as bytes. ``parts`` are its pieces by name, to say which one cannot be packed.

    Raises ``WorkNotPicklable``, or ``InvalidJob`` for futures inside it and for more than ``limit`` bytes.
    """
    try:
        with refusing(WorkNotPicklable, "The work cannot be packed to be run later"):
            buffer = _dumped(work, limit)
    except WorkNotPicklable as error:
        for name, part in parts.items():
            with refusing(WorkNotPicklable, f"{name} cannot be packed to be run later"):
                _dumped(part, limit=0)
        raise error
    if buffer.size > limit:
        raise InvalidJob(
            f"The work is {format_bytes(buffer.size)} when packed; at most {format_bytes(limit)} are allowed. Let its "
            'tasks load the data themselves, from files or a store, or raise JOBSAPI["INPUT_MAX_BYTES"].'
        )
    return buffer.getvalue()


def _dumped(work: Any, limit: int) -> _Counter:
    buffer = _Counter(limit)
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(work)
    return buffer


@contextmanager
def refusing(kind: type[InvalidJob], sentence: str) -> Iterator[None]:
    """Make ``kind`` of whatever code of the user's raises inside: type and message as text, traceback as ``detail``."""
    try:
        yield
    except BackendError:
        raise
    except (Exception, SystemExit) as error:  # a function that parses arguments calls sys.exit
        detail = "".join(traceback.format_exception(error))
        raise kind(f"{sentence}: {type(error).__name__}: {error}", detail) from error


@functools.cache
def use_portable_shuffles() -> None:
    """Make "tasks" the default way to shuffle and rechunk in this process; what a user has configured stays.

    Dask's own default, P2P, finds its tasks by their exact keys and so cannot have the keys of an attempt.
    """
    tasks = {"method": "tasks"}
    dask.config.update_defaults({"dataframe": {"shuffle": tasks}, "array": {"rechunk": tasks}})


def attempt_graph(leaves: Sequence[Any], attempt: str) -> Graph:
    """The optimised graph of ``leaves``, with every key ending in ``@attempt`` and one text key for each leaf.

    Equal within an attempt, so that a repeat runs nothing twice; new in each attempt, so that none meets an old error.
    """
    pieces = [_flat(leaf) if isinstance(leaf, Delayed) else _finalized(leaf) for leaf in leaves]
    everything = convert_legacy_graph({key: task for piece in pieces for key, task in piece.tasks.items()})
    tasks = cull(everything, [piece.key for piece in pieces])
    if any(str(key).startswith("shuffle-barrier-") for key in tasks):
        raise InvalidJob(
            'The graph shuffles with method "p2p", which cannot run as a job. Leave the method out, or give execute() '
            "a function that takes a client and returns client.compute(...)."
        )
    names = {key: _suffixed(key, attempt) for key in tasks}
    renamed = {names[key]: _renamed(task, names[key], names) for key, task in tasks.items()}
    annotations: dict[str, dict[Any, Any]] = {}
    for piece in pieces:
        for kind, of_kind in piece.annotations.items():
            annotations.setdefault(kind, {}).update({names[key]: of_kind[key] for key in of_kind if key in names})
    results = {
        f"{RESULT_OF}{key_split(piece.key)}-{index}@{attempt}": names[piece.key] for index, piece in enumerate(pieces)
    }
    renamed |= {key: Task(key, identity, TaskRef(leaf)) for key, leaf in results.items()}
    return Graph(_annotated(renamed, annotations), list(results))


def _flat(leaf: Delayed) -> _Piece:
    """A Delayed as it is. Its own optimisation only culls, in a time that grows with the square of its tasks."""
    graph = leaf.__dask_graph__()
    annotations: dict[str, dict[Any, Any]] = {}
    for layer in graph.layers.values() if isinstance(graph, HighLevelGraph) else ():
        for kind, value in (layer.annotations or {}).items():
            annotations.setdefault(kind, {}).update({key: value(key) if callable(value) else value for key in layer})
    return _Piece(ensure_dict(graph), leaf.key, annotations)


def _finalized(leaf: Any) -> _Piece:
    """A collection, optimised, with one last task that puts its pieces together, as ``compute`` does."""
    expression = collections_to_expr(leaf).finalize_compute().optimize()
    (key,) = flatten(expression.__dask_keys__())
    return _Piece(expression.__dask_graph__(), key, expression.__dask_annotations__())


def _suffixed(key: Any, attempt: str) -> Any:
    """The dash before it ends the name by which Dask, and we, count and show tasks of one sort: see ``key_split``."""
    return (f"{key[0]}-@{attempt}", *key[1:]) if isinstance(key, tuple) else f"{key}-@{attempt}"


def _renamed(task: Any, key: Any, names: Mapping[Any, Any]) -> Any:
    """The task under another key. It is told its own dependencies alone: Dask 2025.4 walks through all it is told."""
    own = {dependency: names[dependency] for dependency in task.dependencies if dependency in names}
    return task.substitute(own, key=key)


def _annotated(tasks: Mapping[Any, Any], annotations: Mapping[str, Mapping[Any, Any]]) -> Mapping[Any, Any]:
    """The tasks with their annotations (resources, retries, priority), which only the layers of a graph can carry."""
    if not annotations:
        return tasks
    layers: dict[str, tuple[dict[Any, Any], dict[str, Any]]] = {}
    for key, task in tasks.items():
        own = {kind: of_kind[key] for kind, of_kind in annotations.items() if key in of_kind}
        layers.setdefault(repr(sorted(own.items())), ({}, own))[0][key] = task
    return HighLevelGraph(
        {name: MaterializedLayer(part, annotations=own or None) for name, (part, own) in layers.items()},
        {name: set() for name in layers},
    )


def leaves_of(value: Any) -> list[Any] | None:
    """The dask collections that ``value`` is or lists; None when it is something else."""
    if is_dask_collection(value):
        return [value]
    if isinstance(value, (list, tuple)) and value and all(is_dask_collection(item) for item in value):
        return list(value)
    return None
