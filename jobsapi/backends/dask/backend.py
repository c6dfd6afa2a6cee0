"""Jobs on a Dask scheduler. A job is a dataset published under its attempt's name: once published, it is accepted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cloudpickle
from dask.base import is_dask_collection
from dask.delayed import delayed
from dask.utils import format_bytes
from distributed import Client, Future

from jobsapi import conf
from jobsapi.backends.base import Accepted, Adoption, Backend, Found, Observation, Packed, Result, Step, Tail
from jobsapi.backends.dask import scheduler as remote
from jobsapi.backends.dask.client import Exchanges, exchange
from jobsapi.backends.dask.graph import attempt_graph, leaves_of, refusing, use_portable_shuffles
from jobsapi.backends.dask.health import text
from jobsapi.backends.dask.inventory import adoption, found_in, prefix_of
from jobsapi.backends.dask.observe import (
    accepted,
    dataset_of,
    datasets_of,
    error_detail,
    error_words,
    failed_words,
    observation,
)
from jobsapi.backends.dask.trial import trial
from jobsapi.backends.dask.work import arguments, futures_in, prepare, wants
from jobsapi.exceptions import BackendUnavailable, InvalidJob, NotReady, NotSupported, ResultTooLarge, SchedulerMissing
from jobsapi.reporting import Reporter
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.models import Job, Scheduler

SECONDS_PER_TASK = 0.002
"""What each task of a graph adds to ``SUBMIT_TIMEOUT``: the scheduler takes half as long to take a task in."""
WALK_LIMIT = 40_000
"""Tasks that the scheduler counts in one poll, which holds it up for up to 0.1 s. A larger graph shows no progress."""
LARGE = 1024**2
"""Larger results, in bytes, come straight from the workers that have them: the scheduler's memory is for graphs."""
GONE = "The result is not at the Dask scheduler any more. The next poll tells whether the job is lost."
LOG_LINES = 500
LOG_WORKERS = 8


class DaskBackend(Backend):
    """Speaks to one Dask scheduler through the one Client that this process keeps to it."""

    def __init__(self, scheduler: Scheduler | None) -> None:
        if scheduler is None:
            raise SchedulerMissing("A Dask job needs a Dask scheduler. Give it one with scheduler=...")
        super().__init__(scheduler)
        self.exchanges = Exchanges(scheduler)

    @property
    def client(self) -> Any:
        """The kept Client, connected. Raises ``DaskJobException``, a ``BackendUnavailable``."""
        return self.exchanges.client

    def future(self, job: Job) -> Any:
        """The job's Future, or the list or dict of them that it was made from; None when the scheduler has none."""
        return self.exchanges.dataset(dataset_of(job), timeout=conf.get("POLL_TIMEOUT"))

    @classmethod
    def prepare(cls, job: Job, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Packed:
        """See ``Backend``. A Future is pinned at once, which may also raise ``BackendUnavailable``, within a second."""
        return prepare(job, args, kwargs)

    def open(self) -> None:
        """See ``Backend``."""
        self.exchanges.connect()

    def close(self) -> None:
        """See ``Backend``."""
        self.exchanges.close()

    def find(self, jobs: Sequence[Job]) -> dict[Job, Accepted]:
        """See ``Backend``."""
        answer = self._snapshot([dataset_of(job) for job in jobs])
        found = ((job, accepted(dataset_of(job), answer)) for job in jobs)
        return {job: outcome for job, outcome in found if outcome is not None}

    def submit(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Accepted | InvalidJob]]:
        """See ``Backend``. A job that the scheduler has already is adopted, and nothing of it runs twice."""
        use_portable_shuffles()
        known = self.find(jobs)
        for job in jobs:
            outcome: Accepted | InvalidJob
            try:
                with refusing(InvalidJob, "The job cannot be handed to Dask"):
                    outcome = known.get(job) or self._submit(job)
            except InvalidJob as refusal:
                if not self.exchanges.connected:
                    raise BackendUnavailable(f"The connection to the Dask scheduler broke. {refusal}") from refusal
                outcome = refusal
            yield job, outcome

    def poll(self, jobs: Sequence[Job]) -> dict[Job, Observation]:
        """See ``Backend``."""
        answer = self._snapshot([dataset_of(job) for job in jobs])
        seen = ((job, observation(dataset_of(job), answer, job.backend_state)) for job in jobs)
        return {job: each for job, each in seen if each is not None}

    def cancel(self, jobs: Sequence[Job]) -> Iterable[Job]:
        """See ``Backend``. Dask forgets the tasks at once; what a worker thread has begun, it finishes for nobody."""
        names = {dataset_of(job): job for job in jobs}
        gone = self.exchanges.run(remote.stop, list(names), timeout=conf.get("POLL_TIMEOUT"))
        return [names[name] for name in gone]

    def hold(self, jobs: Sequence[Job]) -> None:
        """Raises ``NotSupported``."""
        raise NotSupported("Dask cannot pause a job: its tasks run to their end. Stop the job and resubmit it later.")

    def release(self, jobs: Sequence[Job]) -> None:
        """Raises ``NotSupported``."""
        raise NotSupported("Dask cannot pause a job, so there is nothing to resume.")

    def fetch_results(self, job: Job) -> Result:
        """See ``Backend``. Parts that failed are None in the result; a job that forgets its result gets None."""
        name = dataset_of(job)
        leaves: list[remote.Leaf] | None = self.exchanges.run(remote.leaves, name, timeout=conf.get("POLL_TIMEOUT"))
        if leaves is None or any(leaf["state"] == "missing" for leaf in leaves):
            raise NotReady(GONE)
        failures = {leaf["key"]: leaf["failure"] for leaf in leaves if leaf["failure"]}
        first = next(iter(failures.values()), None)
        if first and len(failures) == len(leaves):
            raise InvalidJob(error_words(first), error_detail(first))
        status = Status.VARIOUS_COMPLETE if first else Status.COMPLETE
        message = failed_words(len(failures), len(leaves), error_words(first)) if first else ""
        if job.keeps_no_result and not job.process_results_function:
            return Result(None, status, message)
        size, limit = sum(leaf["nbytes"] for leaf in leaves), conf.get("RESULT_MAX_BYTES")
        if size > limit:
            raise ResultTooLarge(
                f"The result is {format_bytes(size)}; at most {format_bytes(limit)} are fetched. Reduce it in the "
                'graph, let its tasks store it, or raise JOBSAPI["RESULT_MAX_BYTES"].'
            )
        return Result(self._gather(name, failed=set(failures), direct=size > LARGE), status, message)

    def write_result(self, value: Any, file: Any) -> None:
        """See ``Backend``. Keeps also what only cloudpickle can pack, such as a local function."""
        with refusing(InvalidJob, "The result cannot be stored"):
            cloudpickle.dump(value, file, protocol=5)

    def cleanup(self, jobs: Sequence[Job]) -> Iterable[Job]:
        """See ``Backend``."""
        self.exchanges.run(remote.discard, [datasets_of(job) for job in jobs], timeout=conf.get("POLL_TIMEOUT"))
        return []

    def logs(self, job: Job) -> dict[str, Tail]:
        """See ``Backend``. Of the scheduler, and of the workers that have to do with the job or else the first few."""
        assert job.submission_id is not None
        attempt = job.submission_id.hex
        timeout = conf.get("POLL_TIMEOUT")
        found = {"scheduler": Tail(text(self.exchanges.scheduler_logs(LOG_LINES, timeout=timeout), attempt))}
        workers = self.exchanges.run(remote.workers_of, datasets_of(job), WALK_LIMIT, LOG_WORKERS, timeout=timeout)
        for address in workers:
            try:
                lines = self.exchanges.worker_logs([address], LOG_LINES, timeout=timeout / LOG_WORKERS)
                found[f"worker {address}"] = Tail(text(lines[address], attempt))
            except BackendUnavailable as error:
                found[f"worker {address}"] = Tail(str(error))
        return found

    def check(self) -> Iterator[Step]:
        """See ``Backend``."""
        return trial(self.scheduler)

    def inventory(self) -> Iterable[Found]:
        """See ``Backend``. Datasets, which carry the portal's name; those that were only reserved as well."""
        portal, timeout = conf.get("PORTAL"), conf.get("POLL_TIMEOUT")
        return list(found_in(self.exchanges.run(remote.held, prefix_of(portal), timeout=timeout), portal))

    def adopt(self, found: Found) -> Adoption:
        """See ``Backend``."""
        return adoption(found, self._snapshot([found.id]))

    def discard(self, found: Found) -> None:
        """See ``Backend``. What a client of a user's wants as well, it keeps."""
        self.exchanges.run(remote.discard, [found.id], timeout=conf.get("POLL_TIMEOUT"))

    def _snapshot(self, names: Sequence[str]) -> remote.Snapshot:
        """One exchange. The names go in random order, so that the tasks of each job get counted in some poll."""
        shuffled = random.sample(names, len(names))
        timeout = conf.get("POLL_TIMEOUT")
        answer: remote.Snapshot = self.exchanges.run(remote.snapshot, shuffled, WALK_LIMIT, timeout=timeout)
        return answer

    def _submit(self, job: Job) -> Accepted:
        client, blob = self.client, job.open_input()
        with client.as_current():
            with refusing(InvalidJob, "The stored work cannot be opened by this worker"):
                kind, work, *arguments = cloudpickle.loads(blob)
            if kind == "graph":
                return self._submit_graph(client, job, work, many=arguments[0])
            value = called(client, job, work, *arguments)
            if futures_in(value):
                return self._publish(job, value, conf.get("SUBMIT_TIMEOUT"))
            many = leaves_of(value) is not None and not is_dask_collection(value)
            return self._submit_graph(client, job, leaves_of(value) or [delayed(value)], many=many)

    def _submit_graph(self, client: Client, job: Job, leaves: Sequence[Any], *, many: bool) -> Accepted:
        assert job.submission_id is not None
        with refusing(InvalidJob, "The graph cannot be handed to Dask"):
            graph = attempt_graph(leaves, job.submission_id.hex)
            self.exchanges.run(remote.reserve, dataset_of(job), graph.leaves, timeout=conf.get("POLL_TIMEOUT"))
            futures = client.get(graph.tasks, graph.leaves, sync=False)
        total = len(graph.tasks) - len(graph.leaves)
        timeout = conf.get("SUBMIT_TIMEOUT") + total * SECONDS_PER_TASK
        try:
            return self._publish(job, futures if many else futures[0], timeout, total)
        finally:
            for future in futures:
                future.release()

    def _publish(self, job: Job, futures: Any, timeout: float, total: int | None = None) -> Accepted:
        """Pin futures under the attempt's name. When this returns, the scheduler surely knows them."""
        name = dataset_of(job)
        fresh = self.exchanges.publish(futures, name, timeout=timeout)
        outcome = accepted(name, self._snapshot([name]), total)
        if outcome is None and not fresh:  # an earlier try left the name, but its graph never came through
            self.exchanges.publish(futures, name, override=True, timeout=timeout)
            outcome = accepted(name, self._snapshot([name]), total)
        if outcome is None:
            self.exchanges.run(remote.discard, [name], timeout=conf.get("POLL_TIMEOUT"))
            raise InvalidJob(f"The Dask scheduler did not take the graph: {self._refusal(futures_in(futures)[0])}")
        return outcome

    def _refusal(self, future: Future[Any]) -> str:
        """Why the scheduler knows nothing of a future that was sent to it."""
        error = exchange(self.client, future._exception, timeout=conf.get("CONNECT_TIMEOUT"))
        cause = getattr(error, "__cause__", None) or error
        return f"{type(cause).__name__}: {cause}" if cause else "its tasks were cancelled."

    def _gather(self, name: str, failed: set[Any], *, direct: bool) -> Any:
        futures = self.exchanges.dataset(name, timeout=conf.get("POLL_TIMEOUT"))
        if futures is None:
            raise NotReady(GONE)
        with refusing(InvalidJob, "The result cannot be fetched"):
            value = self._gathered(without(futures, failed), direct)
        if futures_in(value):
            raise InvalidJob(
                "The result is a future, not a value. Let the task return the value, or give execute() a function that "
                "returns the future."
            )
        return value

    def _gathered(self, futures: Any, direct: bool) -> Any:
        """The values. A fetch that takes too long is this job's trouble, and no reason to leave the scheduler alone."""
        limit = conf.get("RESULT_TIMEOUT")
        try:
            return self.exchanges.gather(futures, direct=direct, timeout=limit)
        except BackendUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise NotReady(f'The result was not fetched within {limit:g} s (JOBSAPI["RESULT_TIMEOUT"]).') from error
            raise


def called(
    client: Client, job: Job, work: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """What a function returns, called here, with what it asks for. What it raises is an ``InvalidJob``."""
    function = job.resolve_function(work) if isinstance(work, str) else work
    offered: dict[str, Any] = {"client": client}
    if wants(function, "reporter", args, kwargs):
        offered["reporter"] = Reporter(job.report_url, job.report_token)
    args, kwargs = arguments(function, args, kwargs, offered)
    with refusing(InvalidJob, "The function raised"):
        return function(*args, **kwargs)


def without(futures: Any, failed: set[Any]) -> Any:
    """The same structure, with None for the futures whose keys are ``failed``."""
    if isinstance(futures, Future):
        return None if futures.key in failed else futures
    if isinstance(futures, dict):
        return {name: without(item, failed) for name, item in futures.items()}
    if isinstance(futures, (list, tuple)):
        return [without(item, failed) for item in futures]
    return futures
