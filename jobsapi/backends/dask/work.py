"""What ``execute()`` was given, in the request: told apart, checked, and packed; a Future is pinned where it is."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distributed import Client, Future
from distributed.comm.addressing import normalize_address, resolve_address

from jobsapi import conf
from jobsapi.backends.base import Packed
from jobsapi.backends.dask import scheduler as remote
from jobsapi.backends.dask.client import exchange
from jobsapi.backends.dask.graph import leaves_of, packed
from jobsapi.backends.dask.observe import accepted, dataset_of
from jobsapi.exceptions import BackendUnavailable, InvalidJob, SchedulerMissing

if TYPE_CHECKING:
    from jobsapi.models import Job

NOTHING: Mapping[str, Any] = {}
PIN_TIMEOUT = 1.0
"""Seconds that a request may wait for the scheduler when ``execute()`` is given a Future."""


def prepare(job: Job, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Packed:
    """Pack or pin. Raises ``InvalidJob``; only for a Future also ``BackendUnavailable``, after ``PIN_TIMEOUT``."""
    named = dict(kwargs)
    work, *rest = args or (named.pop("future_or_delayed", None),)
    futures, leaves = futures_in(work), leaves_of(work)
    if (futures or leaves) and (rest or named):
        raise InvalidJob("execute() takes further arguments only with a function. Put them into the graph.")
    if futures:
        return pinned(job, work, futures)
    if leaves:
        names = {f"Part {n}" if len(leaves) > 1 else "The graph": leaf for n, leaf in enumerate(leaves, 1)}
        many = isinstance(work, (list, tuple))
        return Packed(packed(("graph", leaves, many), names, conf.get("INPUT_MAX_BYTES")))
    function = job.resolve_function(work) if isinstance(work, str) else work
    if not callable(function):
        raise InvalidJob(
            f"execute() was given {described(work)}. Give it a Delayed, a dask collection, a Future, a list of one of "
            "these, a function with its arguments, or a function's dotted name."
        )
    if wants(function, "reporter", rest, named):
        job.require_reporting()
    arguments(function, rest, named)
    parts = {"The function": work, **{f"Argument {n}": value for n, value in enumerate(rest, 1)}}
    parts.update({f'The argument "{name}"': value for name, value in named.items()})
    return Packed(packed(("call", work, tuple(rest), named), parts, conf.get("INPUT_MAX_BYTES")))


def pinned(job: Job, work: Any, futures: Sequence[Future[Any]]) -> Packed:
    """Publish futures under the attempt's name, so that they outlive the client that made them."""
    if isinstance(work, (list, tuple)) and any(leaves_of(item) for item in work):
        raise InvalidJob("The list has both futures and graphs in it. Give execute() the ones or the others.")
    client = futures[0].client
    check_client(job, client)
    name = dataset_of(job)

    async def publish() -> remote.Snapshot:
        with suppress(KeyError):  # published by an earlier try
            await client._publish_dataset(work, name=name)
        answer: remote.Snapshot = await client._run_on_scheduler(remote.shipped(remote.snapshot), [name], 0)
        return answer

    outcome = accepted(name, exchange(client, publish, timeout=PIN_TIMEOUT))
    if outcome is None:
        raise InvalidJob("The Dask scheduler does not know the future any more: it was cancelled. Submit it again.")
    return Packed(accepted=replace(outcome, state={**outcome.state, "from_future": True}))


def check_client(job: Job, client: Client) -> None:
    """Raise ``InvalidJob`` unless ``client`` is usable here and talks to the job's own scheduler."""
    if client.asynchronous:
        raise InvalidJob("The future belongs to an asynchronous client. Give execute() a graph instead.")
    if client.scheduler is None or client.status != "running":
        raise InvalidJob("The client of the future is closed. Call execute() while it is open.")
    if job.scheduler is None:
        raise SchedulerMissing("A Dask job needs a Dask scheduler. Give it one with scheduler=...")
    here, there = resolved(job.scheduler.host or ""), resolved(str(client.scheduler.address))
    if here != there:
        raise InvalidJob(
            f'The future is at the Dask scheduler {there}, but the job is for "{job.scheduler.name}" at {here}. '
            "Give the job that scheduler, or make the future there."
        )


def resolved(address: str) -> str:
    """An address with its host as a number, to compare; as it is when its name cannot be resolved here."""
    try:
        return str(resolve_address(normalize_address(address)))
    except (OSError, ValueError) as error:
        raise BackendUnavailable(f"The Dask scheduler's address {address} cannot be resolved: {error}") from error


def arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], offered: Mapping[str, Any] = NOTHING
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What to call ``function`` with: the arguments given, and what is ``OFFERED`` that it ``wants``.

    Raises ``InvalidJob`` when they do not fit: better in the request than later, in a worker.
    """
    signature = signature_of(function)
    if signature is None:
        return tuple(args), dict(kwargs)
    wanted = [name for name in OFFERED if wants(function, name, args, kwargs)]
    others = [each for each in signature.parameters.values() if each.name not in wanted]
    try:
        bound = signature.replace(parameters=others).bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(function, "__qualname__", function)
        raise InvalidJob(f"The arguments do not fit {name}{signature}: {error}.") from error
    if not wanted:
        return bound.args, bound.kwargs
    more = {name: offered.get(name) for name in wanted}
    given = inspect.BoundArguments(signature, OrderedDict({**bound.arguments, **more}))
    return given.args, given.kwargs


OFFERED = ("client", "reporter")
"""What a function that is called by a worker gets if it has a parameter of that name, and was given nothing for it."""


def wants(function: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a function asks for what is ``OFFERED``: ``client`` wherever it stands, ``reporter`` if it is left free.

    A parameter of that name may always have meant something else.
    """
    signature = signature_of(function)
    if signature is None or name not in signature.parameters or name in kwargs:
        return False
    if name == "client":
        return True
    others = [each for each in signature.parameters.values() if each.name != "client" or "client" in kwargs]
    try:
        return name not in signature.replace(parameters=others).bind_partial(*args, **kwargs).arguments
    except TypeError:  # they do not fit at all, and ``arguments`` says so
        return False


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """What a function takes; None of some builtins."""
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def futures_in(value: Any) -> list[Future[Any]]:
    """The futures that ``value`` is or holds in lists, tuples and dicts."""
    if isinstance(value, Future):
        return [value]
    held = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [future for item in held for future in futures_in(item)]


def described(work: Any) -> str:
    """What the user gave, in words."""
    return "nothing" if work is None else f"{type(work).__name__} {work!r:.80}"
