"""The connection that a process keeps to a submit host: shared by threads, replaced when dead, closed when idle."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import paramiko

from jobsapi.backends.condor.transport.connection import BROKEN, Deadline, Link, connect, session, unreachable, watchdog
from jobsapi.backends.condor.transport.login import Login
from jobsapi.exceptions import BackendUnavailable

IDLE_CLOSE = 300.0
"""Seconds without use after which the connection is closed."""
ENDING = 1.0
"""Seconds in which a host is sure to know that a channel has ended, so that it allows another."""
PAUSE = 0.1
"""Seconds between two questions for a channel that was refused."""


class KeptConnection:
    """At most one connection that is given to new users. ``connected`` is called for each that is made."""

    def __init__(self, login: Login, idle_close: float, connected: Callable[[], object]) -> None:
        self.login = login
        self.idle_close = idle_close
        self._connected_once = connected
        self._connecting = threading.Lock()
        self._state = threading.Lock()
        """Guards what follows; never held while something is waited for."""
        self._link: Link | None = None
        self._tries = 0
        self._failure: BackendUnavailable | None = None
        self._used = time.monotonic()
        self._closing: threading.Timer | None = None
        """Closes the connection when it is idle, whichever that is then."""
        abandon = weakref.WeakMethod(self._abandon)
        os.register_at_fork(after_in_child=lambda: (still := abandon()) and still())

    def open(self) -> None:
        """Connect if not connected. Raises ``BackendUnavailable``."""
        self._leave(self._enter(Deadline(self.login.timeout)))

    @property
    def alive(self) -> bool:
        """Whether there is a connection that is not known to be broken."""
        with self._state:
            return self._usable() is not None

    def close(self) -> None:
        """Close it, after those who use it now have ended what they do."""
        with self._state:
            link, self._link = self._link, None
            if link:
                link.retired = True
            if self._closing:
                self._closing.cancel()
                self._closing = None
        if link and not link.users:
            link.close()

    @contextmanager
    def channel(self) -> Iterator[tuple[Link, paramiko.Channel]]:
        """A new channel of the kept connection. Until it is there, nothing was sent: a dead connection is replaced."""
        deadline = Deadline(self.login.timeout)
        link, channel = self._opened(deadline)
        try:
            yield link, channel
        finally:
            self._end(link, channel)

    def _opened(self, deadline: Deadline) -> tuple[Link, paramiko.Channel]:
        for fresh in (False, True):
            link = self._enter(deadline)
            try:
                return link, self._session(link, deadline.left if fresh else deadline.left / 3, deadline)
            except paramiko.ChannelException as error:
                self._leave(link)
                raise BackendUnavailable(
                    f"The submit host {self.login.place} refuses another session on the connection ({error}). "
                    "Its sshd may allow too few (MaxSessions)."
                ) from error
            except BROKEN as error:
                self.retire(link)
                self._leave(link)
                if fresh:
                    raise BackendUnavailable(self.broken(error)) from error
        raise AssertionError

    def _session(self, link: Link, seconds: float, deadline: Deadline) -> paramiko.Channel:
        """A new channel, as soon as the host allows it: it may allow only one, or few, at a time."""
        ending = Deadline(ENDING)
        while True:
            try:
                return session(link, seconds, deadline)
            except paramiko.ChannelException:
                with self._state:
                    spare, alone = link.spare(), link.users == 1
                if spare:
                    spare.close()
                if spare or not alone:
                    ending = Deadline(ENDING)
                if not ending.left or not deadline.left:
                    raise
                time.sleep(PAUSE)

    def _end(self, link: Link, channel: paramiko.Channel | paramiko.SFTPClient) -> None:
        """Close a channel, and be no user of the link any more. Where not even that can be sent, the link is broken."""
        with suppress(*BROKEN), watchdog(self.login.timeout, link.close):
            channel.close()
        self._leave(link)

    @contextmanager
    def sftp(self) -> Iterator[tuple[Link, paramiko.SFTPClient]]:
        """An SFTP session that nobody else uses meanwhile, kept for the next one if all went well."""
        with self._state:
            kept = self._usable()
            sftp = kept.spare() if kept else None
            if kept and sftp:
                kept.users += 1
        if kept and sftp:
            link = kept
        else:
            link, channel = self._opened(Deadline(self.login.timeout))
            try:
                with watchdog(self.login.timeout, link.close):
                    channel.invoke_subsystem("sftp")
                channel.settimeout(self.login.idle)
                sftp = paramiko.SFTPClient(channel)
            except BROKEN as error:
                self._end(link, channel)
                if isinstance(error, paramiko.SFTPError):
                    raise BackendUnavailable(
                        f"No files can be transferred {self.login.where}: what answers does not speak SFTP ({error}). "
                        f"A login script of {self.login.username} may say something; it must be silent where nobody "
                        "sits at a terminal."
                    ) from error
                if isinstance(error, paramiko.SSHException) and link.alive:
                    raise BackendUnavailable(
                        f"No files can be sent: SFTP is not allowed {self.login.where}."
                    ) from error
                raise self.cut(link, error) from error
        try:
            yield link, sftp
        except BaseException:
            self._end(link, sftp)
            raise
        with self._state:
            link.keep(sftp)
        self._leave(link)

    def _enter(self, deadline: Deadline) -> Link:
        """The kept connection, or a new one, with us as a user of it. Raises ``BackendUnavailable``.

        Of threads that wait for one attempt, all share its failure: each costs the time-out at most.
        """
        with self._state:
            tries = self._tries
            if link := self._usable():
                link.users += 1
                return link
        if not self._connecting.acquire(timeout=deadline.left):
            raise BackendUnavailable(unreachable(self.login, deadline, TimeoutError()))
        try:
            with self._state:
                if link := self._usable():
                    link.users += 1
                    return link
                if self._tries != tries and self._failure:
                    raise self._failure
            return self._connected(deadline)
        finally:
            self._connecting.release()

    def _connected(self, deadline: Deadline) -> Link:
        failure: BackendUnavailable | None = None
        try:
            link = connect(self.login, deadline)
            link.users = 1
        except BackendUnavailable as error:
            failure = error
            raise
        finally:
            with self._state:
                self._tries += 1
                self._failure = failure
        with self._state:
            self._link = link
            self._used = time.monotonic()
            if self._closing is None:
                self._look_again(self.idle_close)
        self._connected_once()
        return link

    def _usable(self) -> Link | None:
        """The kept connection unless it is known to be broken. Called with ``_state`` held."""
        if self._link and not self._link.alive:
            self._link = None
        return self._link

    def _leave(self, link: Link) -> None:
        with self._state:
            link.users -= 1
            self._used = time.monotonic()
            over = link.retired and not link.users
        if over:
            link.close()

    def retire(self, link: Link) -> None:
        """Use a connection for nothing new. Those who use it now may end what they do."""
        with self._state:
            link.retired = True
            if self._link is link:
                self._link = None

    def cut(self, link: Link, error: BaseException) -> BackendUnavailable:
        """What to say of a connection that went wrong. It is not used again."""
        self.retire(link)
        if isinstance(error, TimeoutError):
            return BackendUnavailable(
                f"The submit host {self.login.place} sent and took nothing for {self.login.idle:g} s."
            )
        return BackendUnavailable(self.broken(error))

    def broken(self, error: BaseException) -> str:
        """What to say of a connection that broke."""
        why = getattr(error, "strerror", None) or str(error) or "it was closed"
        return f"The connection to the submit host {self.login.place} broke: {why}."

    def _look_again(self, seconds: float) -> None:
        """Look in so many seconds whether the connection is idle. Called with ``_state`` held."""
        self._closing = threading.Timer(seconds, self._close_if_idle)
        self._closing.daemon = True
        self._closing.start()

    def _close_if_idle(self) -> None:
        with self._state:
            if threading.current_thread() is not self._closing:  # it was closed meanwhile
                return
            self._closing = None
            link, left = self._usable(), self.idle_close - (time.monotonic() - self._used)
            if link is None:
                return
            if link.users or left > 0:
                self._look_again(max(left, 1.0))
                return
            self._link, link.retired = None, True
        link.close()

    def _abandon(self) -> None:
        """After a fork: the connection stays the parent's."""
        link, self._link = self._link, None
        self._closing = None
        self._connecting, self._state = threading.Lock(), threading.Lock()
        if link:
            link.abandon()
