"""Named points of the lifecycle at which a process can be made to die, by files: each charge goes off once.

A point's name is ``<verb>: before|after <effect>``: ``submit: after publish``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.chaos.ground import Ground, append, lines

_PASSED: set[str] = set()
"""What this process has noted already."""
_DOING = threading.local()


@contextmanager
def doing(verb: str) -> Iterator[None]:
    """What this thread comes to meanwhile are points of ``verb``."""
    before = getattr(_DOING, "verb", "")
    _DOING.verb = verb
    try:
        yield
    finally:
        _DOING.verb = before


@contextmanager
def around(effect: str) -> Iterator[None]:
    """A point before an effect, and one after it: not if it raised. None where nobody says what is being done."""
    verb = getattr(_DOING, "verb", "")
    if verb:
        passing(f"{verb}: before {effect}")
    yield
    if verb:
        passing(f"{verb}: after {effect}")


def passing(name: str) -> None:
    """This process is at the point ``name``. It does not return if that is charged."""
    folder = Ground.here().points
    if name not in _PASSED:
        _PASSED.add(name)
        append(folder / "known", name)
    if take(name):
        append(folder / "killed", f"{name}\t{os.getpid()}")
        os.kill(os.getpid(), signal.SIGKILL)


def take(name: str) -> bool:
    """Whether there was a charge of this name: who takes it has it alone."""
    charge, mine = _charge(name), Ground.here().points / f"taken {os.getpid()} {threading.get_ident()}"
    try:
        charge.rename(mine)
    except FileNotFoundError:
        return False
    mine.unlink()
    append(Ground.here().points / "taken", name)
    return True


def charge(name: str) -> None:
    """The next process that comes to the point takes it."""
    _charge(name).touch()


def charged(name: str) -> bool:
    """Whether a process would die at the point."""
    return _charge(name).exists()


def discharge(name: str) -> bool:
    """Whether nobody has come; now nobody will any more."""
    try:
        _charge(name).unlink()
    except FileNotFoundError:
        return False
    return True


def known() -> list[str]:
    """The points that some process has passed."""
    return sorted(set(lines(Ground.here().points / "known")))


def killed() -> Counter[str]:
    """How often a process was killed at each point."""
    return Counter(line.partition("\t")[0] for line in lines(Ground.here().points / "killed"))


def taken() -> Counter[str]:
    """How often a charge of each name went off."""
    return Counter(lines(Ground.here().points / "taken"))


def _charge(name: str) -> Path:
    return Ground.here().points / f"charge {quote(name, safe=' ')}"
