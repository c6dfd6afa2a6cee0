"""Two guards that kill the processes of a parent that has died: the kernel, and a tiny process that reads a pipe."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1  # prctl(2)

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

_GUARDIAN = """\
import os, signal, sys
groups = set()
for line in sys.stdin:
    group = int(line)
    groups.add(group) if group > 0 else groups.discard(-group)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


def start_guardian() -> subprocess.Popen[bytes]:
    """A process that reads numbers of groups, negative ones to be forgotten; when its pipe closes it kills the rest."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARDIAN],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def die_with_parent(parent: int, mask: Iterable[int | signal.Signals] = ()) -> None:
    """Have the kernel kill this process with ``parent``. Called in the child, before its program starts."""
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
