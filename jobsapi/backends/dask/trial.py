"""A Dask scheduler is put to the test, step by step, over a connection that nobody else uses."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from jobsapi import conf
from jobsapi.backends.base import Finding, Outcome, Step
from jobsapi.backends.dask import health
from jobsapi.backends.dask import scheduler as remote
from jobsapi.backends.dask.client import Connection, Exchanges
from jobsapi.backends.dask.graph import refusing
from jobsapi.exceptions import BackendUnavailable, InvalidJob

NUMBERS = (20, 22)


def trial(scheduler: Any) -> Iterator[Step]:
    """The steps. Whatever they have sent is forgotten by the scheduler when the iterator is closed."""
    own = Connection()
    try:
        yield Step("Connection", lambda: connected(Exchanges(scheduler, own)))
        exchanges = Exchanges(scheduler, own)
        yield Step("Credentials", lambda: credentials(exchanges.options.address))
        versions = functools.cache(lambda: exchanges.versions(timeout=conf.get("POLL_TIMEOUT")))
        yield Step("Versions", lambda: health.fit(versions()))
        yield Step("Workers", lambda: health.workers(versions(), threads(exchanges)))
        yield Step("A tiny job", lambda: computed(exchanges, conf.get("TRIAL_TIMEOUT")))
    finally:
        own.close()


def connected(exchanges: Exchanges) -> Finding:
    """Whether it can be reached, and answers."""
    exchanges.connect()
    threads(exchanges)
    return Finding(f"The Dask scheduler at {exchanges.options.address} answers.")


def credentials(address: str) -> Finding:
    """Dask knows certificates or nothing. https://distributed.dask.org/en/stable/tls.html"""
    if address.startswith("tls://"):
        return Finding("Both sides have shown each other a certificate.")
    return Finding("None are asked for: whoever reaches this address can run programs there. Keep it in a private net.")


def threads(exchanges: Exchanges) -> int:
    """How many tasks can run at once."""
    return int(exchanges.run(remote.threads, timeout=conf.get("POLL_TIMEOUT")))


def computed(exchanges: Exchanges, seconds: float) -> Finding:
    """Whether a task is run, and its value comes back within so many ``seconds``."""
    if not threads(exchanges):
        return Finding("Not tried: there is no worker to run it.", Outcome.DOUBTFUL)
    with refusing(InvalidJob, "A tiny job could not be run"):
        future = exchanges.client.submit(sum, NUMBERS, key=f"jobsapi-trial-{uuid4().hex}", pure=False)
        try:
            value = exchanges.gather(future, direct=False, timeout=seconds)
        except BackendUnavailable as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
            threads(exchanges)  # a scheduler that has fallen silent is no busy one
            message = f"It was accepted and did not end within {seconds:g} s: all workers may be busy. It was removed."
            return Finding(message, Outcome.DOUBTFUL)
        finally:
            future.release()
    if value != sum(NUMBERS):
        raise InvalidJob(f"The workers say that {NUMBERS[0]} + {NUMBERS[1]} is {value!r}.")
    return Finding("It was run by a worker, and its value came back.")
