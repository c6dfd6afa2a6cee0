"""The one connection that a process keeps to a Dask scheduler. Every exchange goes through it and ends in time."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, NamedTuple

from dask.utils import parse_timedelta
from distributed import Client
from distributed.comm.addressing import normalize_address
from distributed.utils import sync

from jobsapi import conf
from jobsapi.backends.dask.scheduler import shipped
from jobsapi.exceptions import BackendUnavailable, DaskJobException

Call = Callable[..., Awaitable[Any]]

CLOSE_TIMEOUT = 1.0


class Options(NamedTuple):
    """How to connect; another value means another connection."""

    address: str
    timeout: float
    """Seconds until a connection attempt is given up."""
    heartbeat: str | None

    @classmethod
    def of(cls, scheduler: Any) -> Options:
        """The options of a row: its ``timeout`` overrides ``CONNECT_TIMEOUT`` (a number is in seconds)."""
        if not scheduler.host:
            raise DaskJobException(
                f'The Dask scheduler "{scheduler.name}" has no host. Set it, as in tcp://10.0.0.1:8786.'
            )
        try:
            timeout = parse_timedelta(scheduler.timeout or conf.get("CONNECT_TIMEOUT"), "s")
        except (ValueError, KeyError) as error:
            raise DaskJobException(
                f'The time-out "{scheduler.timeout}" of the Dask scheduler "{scheduler.name}" is no time. Set seconds.'
            ) from error
        return cls(normalize_address(scheduler.host), timeout, str(scheduler.heartbeat_interval or "") or None)


class BoundedClient(Client):
    """A Client whose construction ends in time, even if the scheduler accepts the connection and stays silent."""

    def start(self, **kwargs: Any) -> None:
        """As ``Client.start``, whose own time-out covers only a part of the handshake."""
        if self.status != "newly-created":
            return
        self._loop_runner.start()
        try:
            sync(self._loop_runner.loop, self._start, callback_timeout=self._timeout, **kwargs)
        except BaseException:
            closed(self)
            raise


class Connection:
    """One Client, made when first needed and made anew when it is closed or should go elsewhere. Safe with threads."""

    def __init__(self) -> None:
        self.exchanges = 0
        """How many round trips were made so far."""
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._options: Options | None = None

    def client(self, options: Options) -> Client:
        """The kept Client. Raises ``DaskJobException``, a ``BackendUnavailable``, when it cannot connect in time."""
        with self._lock:
            if self._client is not None and (self._options != options or self._client.status != "running"):
                self._drop()
            if self._client is None:
                self._client, self._options = connected(options), options
            return self._client

    @property
    def connected(self) -> bool:
        """Whether there is a Client, and it has not lost its scheduler."""
        return self._client is not None and self._client.status == "running"

    def close(self) -> None:
        """Let go of the Client; the next call makes another."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            closed(self._client)
        self._client = self._options = None


@functools.cache
def connection(process: int, scheduler: Any) -> Connection:
    """The connection of one process to one scheduler: a Client does not survive a fork."""
    return Connection()


def connected(options: Options) -> Client:
    """A new Client, or ``DaskJobException`` with the address and what happened."""
    try:
        return BoundedClient(  # type: ignore[no-untyped-call]
            options.address,
            timeout=options.timeout,
            heartbeat_interval=options.heartbeat,
            set_as_default=False,
            name="jobsapi",
        )
    except TimeoutError as error:
        words = f"No Dask scheduler answered at {options.address} within {options.timeout:g} s."
        raise DaskJobException(words) from error
    except (OSError, ValueError, ImportError) as error:
        raise DaskJobException(f"The Dask scheduler at {options.address} cannot be connected to: {error}") from error


def closed(client: Client) -> None:
    """Close a Client without waiting for a scheduler that does not answer."""
    with suppress(TimeoutError, OSError, CancelledError, RuntimeError):
        client.close(timeout=CLOSE_TIMEOUT)


class Exchanges:
    """The round trips that a backend makes: each is one request, and ends within ``timeout`` seconds.

    They use the coroutines behind ``Client``'s public methods, because only those can be given a real time-out.
    All raise ``BackendUnavailable``.
    """

    def __init__(self, scheduler: Any, own: Connection | None = None) -> None:
        """``own``: a connection that nobody else uses, in place of the one that the process keeps."""
        self.options = Options.of(scheduler)
        self.connection = own or connection(os.getpid(), scheduler.pk or self.options.address)

    @property
    def client(self) -> Any:
        """The kept, connected Client. Any, because what is used of it here is not typed."""
        return self.connection.client(self.options)

    @property
    def connected(self) -> bool:
        """Whether the kept Client has its scheduler."""
        return self.connection.connected

    def connect(self) -> None:
        """Connect if not connected."""
        self.connection.client(self.options)

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()

    def run(self, function: Callable[..., Any], *args: Any, timeout: float) -> Any:
        """Call a function of ``dask_scheduler`` on the scheduler."""
        client = self.client
        return self._exchange(client, client._run_on_scheduler, shipped(function), *args, timeout=timeout)

    def publish(self, futures: Any, name: str, *, override: bool = False, timeout: float) -> bool:
        """Pin futures under ``name``; False when it is taken. On return the scheduler has taken in all sent before."""
        client = self.client
        try:
            self._exchange(client, client._publish_dataset, futures, name=name, override=override, timeout=timeout)
        except KeyError:
            return False
        return True

    def dataset(self, name: str, *, timeout: float) -> Any:
        """What was published under ``name``, with live futures, or None."""
        client = self.client
        return self._exchange(client, client._get_dataset, name, default=None, timeout=timeout)

    def gather(self, futures: Any, *, direct: bool, timeout: float) -> Any:
        """The values of futures, in the structure that holds them; ``direct`` from the workers, as far as they can be
        reached from here, and else through the scheduler, which then holds all of them. Raises what a task raised.
        """
        client = self.client
        return self._exchange(client, client._gather, futures, direct=direct, timeout=timeout)

    def scheduler_logs(self, lines: int, *, timeout: float) -> Sequence[tuple[str, str]]:
        """The last lines of the scheduler's log, newest first."""
        client = self.client
        answer: Sequence[tuple[str, str]] = self._exchange(client, client.scheduler.logs, n=lines, timeout=timeout)
        return answer

    def worker_logs(self, workers: list[str], lines: int, *, timeout: float) -> dict[str, Sequence[tuple[str, str]]]:
        """The last lines of the logs of some workers, newest first."""
        client = self.client
        answer: dict[str, Sequence[tuple[str, str]]] = self._exchange(
            client, client.scheduler.worker_logs, n=lines, workers=workers, nanny=False, timeout=timeout
        )
        return answer

    def versions(self, *, timeout: float) -> dict[str, Any]:
        """Versions at client, scheduler and workers, as ``Client.get_versions`` gives them."""
        client = self.client
        answer: dict[str, Any] = self._exchange(client, client._get_versions, timeout=timeout)
        return answer

    def _exchange(self, client: Any, call: Call, *args: Any, timeout: float, **options: Any) -> Any:
        self.connection.exchanges += 1
        return exchange(client, call, *args, timeout=timeout, **options)


def exchange(client: Client, call: Call, *args: Any, timeout: float, **options: Any) -> Any:
    """Run one of ``client``'s coroutines and wait ``timeout`` seconds at most. Raises ``BackendUnavailable``."""
    address = client.scheduler.address if client.scheduler else "an unknown address"
    try:
        assert client.loop is not None
        client.loop.add_callback(send_now, client)
        return client.sync(call, *args, callback_timeout=timeout, **options)
    except TimeoutError as error:
        raise BackendUnavailable(f"The Dask scheduler at {address} did not answer within {timeout:g} s.") from error
    except (OSError, CancelledError) as error:
        raise BackendUnavailable(f"The connection to the Dask scheduler at {address} broke: {error}") from error
    except RuntimeError as error:
        if client.status == "running":
            raise
        raise BackendUnavailable(f"The connection to the Dask scheduler at {address} is closed: {error}") from error


def send_now(client: Client) -> None:
    """Have what waits in the stream to the scheduler go at once. Call it on the client's loop.

    Dask sends the messages of some milliseconds together, and tells by the time of day when they are over. If that is
    set back by an hour meanwhile, nothing is sent for an hour, neither graphs nor wishes, also when it is right again.
    """
    stream = client.scheduler_comm
    if stream is not None:
        stream.next_deadline = None
        stream.waker.set()
