"""A process of the campaign's has a clock of its own: a jump of it moves the time of day and no wait."""

import subprocess
import sys
import time

import pytest

from tests.chaos.clocks import OFFSETS, own_clock, set_clock
from tests.rig.services import missing

HOUR = 3600
TELLS = """
import threading, time
from datetime import datetime
while input():
    began = time.monotonic()
    time.sleep(0.1)
    threading.Event().wait(0.1)
    print(time.time(), datetime.now().timestamp(), time.monotonic(), time.monotonic() - began, flush=True)
"""


@pytest.fixture
def clock(tmp_path):
    env = own_clock(tmp_path, "me")
    if not env:
        missing("There is no C compiler: run scripts/install-test-services")
    with subprocess.Popen(
        [sys.executable, "-c", TELLS], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def asked(seconds):
            set_clock(tmp_path / OFFSETS / "me", seconds)
            print("?", file=process.stdin, flush=True)
            return map(float, process.stdout.readline().split())

        yield asked
        process.kill()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 0])
def test_a_jump_is_seen_at_once_and_moves_no_wait(clock, seconds):
    clock(0)

    now, also, steady, waited = clock(seconds)

    assert now - time.time() == pytest.approx(seconds, abs=60)
    assert also - now == pytest.approx(0, abs=60)
    assert steady == pytest.approx(time.monotonic(), abs=60)
    assert 0.2 <= waited < 60
