"""Apps, users, workers, schedulers, messages and time, in any order; and what holds after each step."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobsapi import lifecycle
from jobsapi.app import JobsApp
from jobsapi.backends.base import Observation
from jobsapi.compute import create_dask_scheduler
from jobsapi.due import VERBS
from jobsapi.exceptions import BackendUnavailable, JobsApiError
from jobsapi.models import Job, JobBlob, JobEvent, Scheduler
from jobsapi.models.vocabulary import Vocabulary
from jobsapi.status import EDGES, REVIVES, SOURCES, TERMINAL, Status
from tests.properties import work
from tests.properties.mortality import Clock, Mortality
from tests.properties.scheduler import CALLS, Fault, Scripted, World

SAID_BY_APPS = [*(status.label for status in Status), "Calibrating", "Wrapped up"]
ENDS_ITS_JOB = "Wrapped up"
"""A custom status that counts among those of a job that has ended."""

SEEN = [Status.SUBMITTED, Status.RUNNING, Status.VARIOUS, Status.PAUSED, Status.RESULTS_READY, Status.ERROR]
SEEN_ALL = [*SEEN, Status.ABORTED]

COMMANDS: dict[str, Callable[[Any, str], None]] = {
    "execute": lambda job, _: job.execute(1),
    "stop": lambda job, _: job.stop(),
    "pause": lambda job, _: job.pause(),
    "resume": lambda job, _: job.resume(),
    "resubmit": lambda job, _: job.resubmit(),
    "process_results": lambda job, _: job.process_results(),
    "delete": lambda job, _: job.delete(),
    "update_status": lambda job, said: job.update_status(said),
    "status": lambda job, _: job.status,
    "save": lambda job, _: job.save(),
}

WISHES = {"cancel", "hold", "release"}
NOT_OF_A_STATUS = {("worker", "Accepted"), *((wish, "Asked to") for wish in WISHES)}
"""Lines of the history that tell no change of status: who writes them, and how they begin."""

observations = st.builds(
    Observation,
    status=st.sampled_from(SEEN_ALL),
    message=st.sampled_from(["", "Node 3.", "Some parts failed."]),
    detail=st.sampled_from(["", "a traceback"]),
    progress_done=st.sampled_from([None, 0, 2]),
    progress_total=st.sampled_from([None, 3]),
    state=st.sampled_from([{}, {"where": ["node3"]}]),
    held=st.sampled_from([0, 1]),
    lost=st.booleans(),
)
ways = st.sampled_from(["before", "after", "late", "refused", "meanwhile", "meanwhile"])
faults = st.lists(st.builds(Fault, st.sampled_from(CALLS), ways), max_size=2)
deaths = st.none() | st.integers(0, 40)
which = st.integers(0, 11)


class App(JobsApp):
    """The app whose jobs they are."""

    package = "tests"


class Machine(RuleBasedStateMachine):
    """``clock`` is what tells the time everywhere; ``reached`` counts the changes of status that were seen."""

    clock: ClassVar[Clock]
    sent: ClassVar[list[tuple[str, int]]]
    reached: ClassVar[Counter[tuple[str, str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.mortality = Mortality()
        self.wrapping = connection.execute_wrapper(self.mortality)
        self.wrapping.__enter__()
        self.instances: list[Any] = []
        self.described: dict[int, str] = {}
        """The description of each job that an app saved last."""
        self.history: dict[int, list[Any]] = {}
        self.ended: dict[int, bool] = {}
        self.next_thing: tuple[str, int, str] = ("status", 0, "")
        """What somebody else does when a fault says ``meanwhile``."""
        self.depth = 0
        self.sent.clear()
        work.broken.clear()
        Scripted.meanwhile = self.somebody_else
        Scripted.clock = lambda: self.clock.seconds

    @initialize()
    def two_schedulers(self) -> None:
        self.schedulers = [create_dask_scheduler(f"cluster {number}", "127.0.0.1:1") for number in range(2)]
        for scheduler in self.schedulers:
            scheduler.save()
        Scripted.worlds = {scheduler.pk: World() for scheduler in self.schedulers}
        self.create(0, 0)

    # What apps and users do

    @precondition(lambda self: len(self.described) < 3)
    @rule(scheduler=st.integers(0, 1), fragile=which)
    def create(self, scheduler: int, fragile: int) -> None:
        job: Any = App.get_job_manager().create_job(
            "job",
            get_user_model().objects.get(),
            job_type="DASK",
            scheduler=self.schedulers[scheduler],
            process_results_function="tests.properties.work.fragile" if fragile % 2 else "",
        )
        job.save()
        self.described[job.pk] = ""
        self.instances.append(job)

    @rule(number=which)
    def read_once_more(self, number: int) -> None:
        fresh = Job.objects.filter(pk=self.pick(number).pk).first()
        if fresh is not None and len(self.instances) < 10:
            self.instances.append(fresh)

    @rule(name=st.sampled_from(sorted(COMMANDS)), number=which, said=st.sampled_from(SAID_BY_APPS), dies=deaths)
    def command(self, name: str, number: int, said: str, dies: int | None = None) -> None:
        job = self.pick(number)
        if job.pk is None:
            return
        job.description = uuid.uuid4().hex if name == "save" else job.description
        with self.mortality.process(dies if self.depth == 0 else None):
            try:
                COMMANDS[name](job, said)
            except (JobsApiError, Job.DoesNotExist, DatabaseError):  # the row may be gone
                return
            if name in ("save", "execute"):
                self.described[job.pk] = job.description
            return
        if name in ("save", "execute"):  # it died: before its commit, or after
            self.described |= dict(Job._base_manager.filter(pk=job.pk).values_list("pk", "description"))

    @rule(numbers=st.dictionaries(which, observations, min_size=1, max_size=3))
    def observe(self, numbers: dict[int, Observation]) -> None:
        """What a slow poll brings of instances that were read long ago."""
        Job.observe_many({self.pick(number): seen for number, seen in numbers.items()})

    # What workers do

    @rule(verb=st.sampled_from(VERBS), number=which, plan=faults, other=st.tuples(which, which, which), dies=deaths)
    def worker(
        self, verb: str, number: int, plan: list[Fault], other: tuple[int, int, int], dies: int | None = None
    ) -> None:
        self.work(verb, self.pick(number).pk, plan, other, dies)

    @precondition(lambda self: self.sent)
    @rule(
        number=st.integers(0, 20), again=st.booleans(), plan=faults, other=st.tuples(which, which, which), dies=deaths
    )
    def message(
        self, number: int, again: bool, plan: list[Fault], other: tuple[int, int, int], dies: int | None = None
    ) -> None:
        """One message arrives: early or late, and perhaps not for the last time."""
        place = number % len(self.sent)
        verb, pk = self.sent[place] if again else self.sent.pop(place)
        self.work(verb, pk, plan, other, dies)

    @rule()
    def messages_are_lost(self) -> None:
        self.sent.clear()

    @rule(number=st.integers(0, 1), plan=faults, other=st.tuples(which, which, which), dies=deaths)
    def refresh(self, number: int, plan: list[Fault], other: tuple[int, int, int], dies: int | None = None) -> None:
        self.work("refresh", self.schedulers[number].pk, plan, other, dies)

    @rule(dies=deaths)
    def beat(self, dies: int | None = None) -> None:
        for call in (lifecycle.rescue, lifecycle.refresh_due):
            with self.mortality.process(dies):
                call()

    @rule(fails=st.booleans())
    def the_apps_function(self, fails: bool) -> None:
        (work.broken.set if fails else work.broken.clear)()

    # What schedulers and time do

    @rule(number=which, seen=observations, how=st.sampled_from(["says", "says", "forgets", "hides", "shows"]))
    def scheduler(self, number: int, seen: Observation, how: str) -> None:
        world = Scripted.worlds[self.schedulers[number % 2].pk]
        there = sorted(world.attempts, key=lambda each: world.attempts[each].native_id)
        if not there:
            return
        attempt = there[number % len(there)]
        ended = world.attempts[attempt].seen.status in (Status.RESULTS_READY, Status.ERROR, Status.ABORTED)
        if how == "says" and not ended:
            world.attempts[attempt].seen = Observation(seen.status, seen.message, held=seen.held)
        elif how == "forgets":
            del world.attempts[attempt]
        elif how in ("hides", "shows"):
            (world.hidden.add if how == "hides" else world.hidden.discard)(attempt)

    @rule(seconds=st.sampled_from([1.0, 5.0, 12.0, 40.0, 70.0, 4000.0]))
    def time(self, seconds: float) -> None:
        self.clock.passes(seconds)
        for world in Scripted.worlds.values():
            world.land(self.clock.seconds)

    @rule(number=which)
    def an_administrator_gives_up(self, number: int) -> None:
        if number == 7:
            self.schedulers[1].give_up()

    # What holds

    @invariant()
    def the_rows_are_as_the_table_says(self) -> None:
        events: dict[int, list[Any]] = {}
        for event in JobEvent.objects.order_by("id").values_list("job_id", "id", "time", "by", "status", "message"):
            events.setdefault(event[0], []).append(event[1:])
        for row in Job._base_manager.all():
            before, now = self.history.get(row.pk, []), events.get(row.pk, [])
            assert now[: len(before)] == before, "a history is only added to"
            assert [each[1] for each in now] == sorted(each[1] for each in now), "in order of time"
            self.follow(row, now, len(before))
            self.history[row.pk], self.ended[row.pk] = now, row.ended
            of_an_end = row._status in TERMINAL or row.custom_status in Vocabulary.TERMINAL_STATUSES
            assert of_an_end == row.ended
            assert not (row.ended and row.requested), "nothing is wished of what has ended"
            assert row.description == self.described[row.pk], "what the user wrote stays"
            self.check_result(row, now)

    def follow(self, row: Any, events: list[Any], known: int) -> None:
        """Each change of status is an edge of the table, and each is in the history."""
        status, revived = "PEN", False
        for place, (_, _, by, to, message) in enumerate(events):
            if to == status and any(by == who and message.startswith(start) for who, start in NOT_OF_A_STATUS):
                continue
            assert (by, to) in SOURCES, events
            assert status in SOURCES[by, Status(to)], events
            if place >= known:
                self.reached[by, status, to] += 1
                revived = revived or by in REVIVES
            status = to
        assert row._status == status, "no status changes without a line in the history"
        if self.ended.get(row.pk) and not revived:
            assert row.ended, "nothing but resubmit() and process_results() revives a job"

    def check_result(self, row: Any, events: list[Any]) -> None:
        if row._status in (Status.COMPLETE, Status.VARIOUS_COMPLETE) and events[-1][2] == "worker":
            assert row.result == str(row.submission_id), "the result is that of the attempt"
        for blob in JobBlob.objects.filter(job=row.pk, live=True).exclude(purpose__in=["input", "logs"]):
            assert blob.attempt == row.submission_id, "no result of an earlier attempt is left"

    @invariant()
    def an_attempt_is_accepted_once(self) -> None:
        for world in Scripted.worlds.values():
            assert all(len(ids) == 1 for ids in world.accepted.values()), world.accepted

    def teardown(self) -> None:
        try:
            if hasattr(self, "schedulers"):
                self.all_goes_well_from_now_on()
        finally:
            self.wrapping.__exit__(None, None, None)
            for model in (JobEvent, JobBlob, Job, Scheduler):
                model._base_manager.all()._raw_delete("default")

    def all_goes_well_from_now_on(self) -> None:
        """Schedulers finish what they have, and workers do what beat tells them to: then nothing is left to do."""
        work.broken.clear()
        for _ in range(25):
            self.time(130.0)
            for world in Scripted.worlds.values():
                world.faults.clear()
                world.hidden.clear()
                for attempt in world.attempts.values():
                    if attempt.seen.status in SEEN[:4]:
                        attempt.seen = Observation(Status.RESULTS_READY)
            lifecycle.rescue()
            lifecycle.refresh_due()
            if not self.sent:
                break
            while self.sent:
                self.work(*self.sent.pop(0))
            self.the_rows_are_as_the_table_says()
            self.an_attempt_is_accepted_once()
        assert not self.sent, "there is an end to what has to be done"
        for row in Job._base_manager.all():
            assert row.ended or row.submission_id is None, f"{row} stays {row.cached_status}: {row.status_message}"
            assert row.deleted_at is None, "what users have deleted is gone"
            assert (row.requested, row.cleanup_pending) == ("", False)
            assert row.leased_until is None or row.leased_until < self.clock(), "nobody has it in hand"
        for scheduler in Scheduler.objects.all():
            assert scheduler.poll_leased_until is None or scheduler.poll_leased_until < self.clock()
            world = Scripted.worlds[scheduler.pk]
            assert not world.in_flight
            if scheduler.given_up_at is None:
                assert not world.attempts, "nothing is left at a scheduler"

    # How it is done

    def pick(self, number: int) -> Any:
        return self.instances[number % len(self.instances)]

    def work(
        self,
        verb: str,
        pk: int,
        plan: list[Fault] | None = None,
        other: tuple[int, int, int] = (0, 0, 0),
        dies: int | None = None,
    ) -> None:
        """Have a worker do something, which may go wrong as planned."""
        for world in Scripted.worlds.values():
            world.faults = list(plan or [])
        names = [*COMMANDS, *VERBS, "time", "refresh"]
        self.next_thing = (names[(other[0] * 12 + other[2]) % len(names)], other[1], SAID_BY_APPS[other[2]])
        with self.mortality.process(dies):
            try:
                getattr(lifecycle, verb)(pk)
            except BackendUnavailable:
                return
        for world in Scripted.worlds.values():
            world.faults.clear()

    def somebody_else(self, call: str) -> None:
        """Somebody acts while a worker waits for an answer to ``call``."""
        if self.depth:
            return
        name, number, said = self.next_thing
        self.depth += 1
        try:
            if name in COMMANDS:
                self.command(name, number, said)
            elif name == "time":
                # A worker that stands still between its last look and its submission for as long as that cannot know.
                self.time(5.0 if call == "submit" else 4000.0)
            else:
                pk = self.pick(number).pk if name != "refresh" else self.schedulers[number % 2].pk
                with self.mortality.process(), _silence():
                    getattr(lifecycle, name)(pk)
            self.the_rows_are_as_the_table_says()
        finally:
            self.depth -= 1


class _silence:
    """A scheduler that does not answer is no failure of the test."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return kind is not None and issubclass(kind, BackendUnavailable)


def unknown_edges(reached: Counter[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """What of the table was not reached."""
    every = {(edge.by, source.value, edge.to.value) for edge in EDGES for source in edge.sources}
    return every - reached.keys()
