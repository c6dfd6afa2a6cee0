"""A stranger who can write to the broker: what they can have workers do, and what not. See docs/security.md."""

from __future__ import annotations

import base64
import json
import pickle
import uuid
from pathlib import Path

import pytest
from django_celery_results.models import TaskResult
from redis import Redis

from tests.rig.eventually import eventually
from worker import app

pytestmark = pytest.mark.services

QUEUE, TASK = "submit", "jobsapi.submit"


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def trap(tmp_path):
    return tmp_path / "code was run"


@pytest.fixture
def stranger(attacked):
    """Puts a message into a queue, byte by byte as they like."""
    with Redis.from_url(attacked.url, socket_timeout=5) as client:

        def send(
            task="jobsapi.submit", args=(), kwargs=None, embed=None, body=None, kind="application/json", **headers
        ):
            number = str(uuid.uuid4())
            known = {"lang": "py", "task": task, "id": number, "root_id": number, "parent_id": None, "group": None}
            if body is None:
                body = json.dumps([list(args), kwargs or {}, embed or {}]).encode()
            message = {
                "body": base64.b64encode(body).decode(),
                "content-encoding": "binary" if kind.endswith("pickle") else "utf-8",
                "content-type": kind,
                "headers": {**known, **headers},
                "properties": {
                    "correlation_id": number,
                    "reply_to": headers.get("reply_to", ""),
                    "delivery_mode": 2,
                    "delivery_info": {"exchange": "", "routing_key": QUEUE},
                    "priority": 0,
                    "body_encoding": "base64",
                    "delivery_tag": str(uuid.uuid4()),
                },
            }
            client.lpush(QUEUE, json.dumps(message))
            return number

        send.client = client
        yield send


def through(stranger) -> None:
    """Wait until the worker has taken all that was sent before, and goes on."""
    number = stranger("jobsapi.submit", [0])
    eventually(lambda: TaskResult.objects.filter(task_id=number, status="SUCCESS").exists(), timeout=60)


def test_nothing_that_a_stranger_sends_makes_a_worker_run_their_code(stranger, attacked, trap):
    before = attacked.pids()
    code = pickle.dumps(Trap(trap))
    run = {"task": "os.system", "args": [f"touch '{trap}'"], "kwargs": {}, "options": {}, "immutable": True}
    ours = {**run, "task": "jobsapi.submit", "args": [code.decode("latin1")]}

    stranger(body=code, kind="application/x-python-serialize")
    stranger(body=code, kind="application/x-pickle")
    stranger(body=f"!!python/object/apply:os.system ['touch {trap}']".encode(), kind="application/x-yaml")
    stranger(body=code, kind="application/json")
    stranger(body=b"[" * 100_000, kind="application/json")
    stranger(body=json.dumps([[{"__type__": "pickle", "__value__": code.decode("latin1")}], {}, {}]).encode())
    for name in ("os.system", "builtins.eval", "jobsapi.functions.resolve", "celery.nothing", "__import__", ""):
        stranger(name, [f"touch '{trap}'"])
    for args in (["os.system"], [{"pk": 1}], [[1]], [2**200], [None], ["' OR 1=1"], [1, 2, 3], []):
        stranger("jobsapi.submit", args)
    stranger("jobsapi.submit", [0], {"job_id__in": [1]}, stranger="x")
    stranger("jobsapi.clean_up", kwargs={"batch": -1})
    for embed in ({"callbacks": [run]}, {"errbacks": [run]}, {"chord": run}, {"chain": [run]}):
        stranger("jobsapi.submit", [0], embed=embed)
    stranger("celery.chord_unlock", ["group", run], {"result": [["x", None]], "max_retries": 0})
    stranger("celery.map", [run, [[f"touch '{trap}'"]]])
    stranger("celery.chunks", [ours, [[0]], 1])
    stranger("celery.chain", [], {"tasks": [run]}, reply_to="nowhere")
    stranger("jobsapi.submit", [0], argsrepr="<script>alert(1)</script>", shadow="\n2026-01-01 INFO forged: line")
    through(stranger)

    assert not trap.exists()
    assert attacked.pids() == before
    for line in attacked.logs()["celery-work"].splitlines():
        assert not line.startswith("2026-01-01")


def test_a_stranger_cannot_stop_or_change_workers_nor_read_their_settings(stranger, attacked):
    before = attacked.pids()
    control = app.control

    for command, arguments in {
        "shutdown": {},
        "pool_restart": {"modules": ["antigravity"]},
        "pool_shrink": {"n": 8},
        "cancel_consumer": {"queue": QUEUE},
        "add_consumer": {"queue": "elsewhere"},
        "rate_limit": {"task_name": "jobsapi.submit", "rate_limit": "1/h"},
        "terminate": {"signal": "KILL", "task_id": ["x"]},
    }.items():
        for said in control.broadcast(command, arguments=arguments, reply=True, timeout=10, limit=2):
            assert "error" in next(iter(said.values())), command
    asked = control.inspect(timeout=10, limit=2)
    told = json.dumps([asked.conf(), asked.report(), asked.stats()])

    assert "kanarie" not in told
    assert "DATABASES" not in told
    assert len(asked.ping() or {}) == 2
    through(stranger)
    assert attacked.pids() == before


def test_what_is_no_message_ends_a_worker_that_goes_on_when_it_is_started_again(stranger, attacked):
    before = attacked.pids()

    stranger.client.lpush(QUEUE, "no message at all")

    eventually(lambda: "celery-work" not in attacked.pids(), timeout=30)
    eventually(lambda: attacked.supervisor.tend() or attacked.pids().keys() == before.keys(), timeout=30)
    through(stranger)
