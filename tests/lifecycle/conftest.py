"""Threads, messages and time, as the tests of the lifecycle move them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db import connections
from django.db.models import F

from jobsapi import lifecycle
from jobsapi.exceptions import BackendUnavailable
from jobsapi.models import DaskJob, Job, Scheduler
from jobsapi.testing import FakeBackend


class Mailbox:
    """A dispatcher that keeps messages until the test delivers or drops them."""

    sent: ClassVar[list[tuple[str, int]]] = []

    def send(self, verb: str, pk: int, label: str) -> None:
        self.sent.append((verb, pk))

    @classmethod
    def deliver(cls) -> None:
        """Have a worker act on what was sent; what that sends in turn is lost."""
        messages = list(cls.sent)
        for verb, pk in messages:
            getattr(lifecycle, verb)(pk)
        cls.sent.clear()


@pytest.fixture
def mailbox(settings, fake):
    """As ``fake``, but messages stay in ``Mailbox.sent``."""
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "tests.lifecycle.conftest.Mailbox"}
    Mailbox.sent.clear()
    return Mailbox


class Blocking(FakeBackend):
    """A fake whose calls of one name wait until the test lets them go on."""

    blocked: ClassVar[str] = ""
    go_on: ClassVar[threading.Event] = threading.Event()
    inside: ClassVar[list[str]] = []

    def _call(self, name: str) -> None:
        if name == self.blocked and not (self.scheduler and self.scheduler.name == "free"):
            self.inside.append(name)
            assert self.go_on.wait(20)
        super()._call(name)


@pytest.fixture
def pausable(monkeypatch):
    """Jobs that can be held: the fake can hold them, Dask could not."""
    monkeypatch.setattr(DaskJob, "can_hold", True)


@pytest.fixture
def blocking(settings, silent):
    """Put ``Blocking`` behind DaskJob; ``blocking.blocked`` names the call that waits for ``blocking.go_on``."""
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": "tests.lifecycle.conftest.Blocking"}}
    Blocking.go_on = threading.Event()
    Blocking.inside = []
    yield Blocking
    Blocking.go_on.set()
    Blocking.blocked = ""


class OneDown(FakeBackend):
    """A fake for many schedulers, of which the one called "down" does not answer."""

    def open(self) -> None:
        super().open()
        if self.scheduler and self.scheduler.name == "down":
            raise BackendUnavailable("Connection refused.")


class LosesTheLine(FakeBackend):
    """A fake that accepts jobs and cannot say so any more."""

    def submit(self, jobs):
        for _ in super().submit(jobs):
            raise BackendUnavailable("The connection broke.")
        yield from ()


def background(call: Callable[..., Any], *args: Any) -> threading.Thread:
    """Run ``call`` in a thread of its own, as a worker does. Nothing it raises gets lost: pytest fails on it."""

    def run() -> None:
        try:
            call(*args)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run all calls at the same moment, each in a thread of its own; what each returned or raised."""
    barrier, outcomes = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait(10)
        try:
            outcomes[number] = call()
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            outcomes[number] = error

    threads = [background(run, number, call) for number, call in enumerate(calls)]
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return outcomes


def time_passes(seconds: float) -> None:
    """Move every time that rows keep back, as if so many seconds had gone by."""
    span = timedelta(seconds=seconds)
    for model in (Job, Scheduler):
        model._base_manager.update(
            **{
                field.name: F(field.name) - span
                for field in model._meta.concrete_fields
                if field.get_internal_type() == "DateTimeField"
            }
        )
