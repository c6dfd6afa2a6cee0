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
        abandon = weakref.WeakMethod(self._abandon)
        os.register_at_fork(after_in_child=lambda: (still := abandon()) and still())

    def open(self) -> None:
        """Connect if not connected. Raises ``BackendUnavailable``."""
        self._leave(self._enter(Deadline(self.login.timeout)))

    def close(self) -> None:
        """Close it, after those who use it now have ended what they do."""
        with self._state:
            link, self._link = self._link, None
            if link:
                link.retired = True
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
            with suppress(*BROKEN):
                channel.close()
            self._leave(link)

    def _opened(self, deadline: Deadline) -> tuple[Link, paramiko.Channel]:
        for fresh in (False, True):
            link = self._enter(deadline)
            try:
                return link, session(link, deadline if fresh else Deadline(deadline.left / 3))
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

    @contextmanager
    def sftp(self) -> Iterator[tuple[Link, paramiko.SFTPClient]]:
        """An SFTP session that nobody else uses meanwhile, kept for the next one if all went well."""
        with self._state:
            kept = self._usable()
            sftp = kept.sftps.pop() if kept and kept.sftps else None
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
                self._leave(link)
                if isinstance(error, paramiko.SSHException) and link.alive:
                    raise BackendUnavailable(
                        f"No files can be sent: SFTP is not allowed {self.login.where}."
                    ) from error
                raise self.cut(link, error) from error
        try:
            yield link, sftp
        except BaseException:
            with suppress(*BROKEN):
                sftp.close()
            raise
        else:
            with self._state:
                link.sftps.append(sftp)
        finally:
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
        self._connected_once()
        self._look_again(link, self.idle_close)
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

    def _look_again(self, link: Link, seconds: float) -> None:
        timer = threading.Timer(seconds, self._close_if_idle, [link])
        timer.daemon = True
        timer.start()

    def _close_if_idle(self, link: Link) -> None:
        with self._state:
            if self._link is not link:
                return
            left = self.idle_close - (time.monotonic() - self._used)
            over = not link.users and left <= 0
            if over:
                self._link, link.retired = None, True
        if over:
            link.close()
        else:
            self._look_again(link, max(left, 1.0))

    def _abandon(self) -> None:
        """After a fork: the connection stays the parent's."""
        link, self._link = self._link, None
        self._connecting, self._state = threading.Lock(), threading.Lock()
        if link:
            link.abandon()
