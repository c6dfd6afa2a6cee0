"""One connection to a submit host: reached, its host key checked, logged in, all within the time-out."""

from __future__ import annotations

import logging
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from jobsapi.backends.condor.transport.login import Login
from jobsapi.exceptions import BackendUnavailable, HostKeyNotAccepted, LoginFailed
from jobsapi.htcondor.host_keys import fingerprint

LOG = "jobsapi.ssh"
KEEPALIVE = 30
"""Seconds of silence after which something is sent, so that no firewall forgets the connection."""
BROKEN = (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError, struct.error, UnicodeDecodeError)
"""What paramiko raises when a connection is broken, refused or too slow, or says what is no SSH."""
SEND_GRACE = 1.0
"""Seconds after a deadline at which a thread that still sends is taken for stuck: the host takes in nothing."""
STATUS_GRACE = 1.0
"""Seconds that the output of a command may lag behind its exit status."""

# paramiko tells of every broken connection with a traceback. We say it in words; who wants more sets a level here.
logging.getLogger(LOG).setLevel(logging.CRITICAL)


class Deadline:
    """A point in time, for calls that take several steps."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 when it is over."""
        return max(0.0, self._end - time.monotonic())


class Link:
    """A live connection. Whoever uses it counts as a user; once retired, its last user closes it."""

    def __init__(self, transport: paramiko.Transport) -> None:
        self.transport = transport
        self.users = 0
        self.retired = False
        self._spare: list[paramiko.SFTPClient] = []

    @property
    def alive(self) -> bool:
        """False once it is known to be broken."""
        return bool(self.transport.is_active())

    def keep(self, sftp: paramiko.SFTPClient) -> None:
        """Have an SFTP session that nobody uses any more ready for the next one."""
        self._spare.append(sftp)

    def spare(self) -> paramiko.SFTPClient | None:
        """An SFTP session that nobody uses. The host may have ended some for being idle."""
        while self._spare:
            sftp = self._spare.pop()
            channel = sftp.get_channel()
            if not (channel.closed or channel.eof_received):
                return sftp
        return None

    def close(self) -> None:
        """Close it, also under those who use it."""
        self.transport.close()

    def abandon(self) -> None:
        """After a fork: close our copy of the socket, and say nothing on it, since the parent goes on using it."""
        self.transport.sock.close()


def connect(login: Login, deadline: Deadline) -> Link:
    """Connect, check the host key, log in.

    Raises ``BackendUnavailable``: ``HostKeyNotAccepted``, and nothing was sent; ``LoginFailed``, and its key is good.
    """
    try:
        transport = _greeted(login, deadline)
    except HostKeyNotAccepted:
        raise
    except BROKEN as error:
        raise BackendUnavailable(unreachable(login, deadline, error)) from error
    try:
        _log_in(transport, login, deadline)
        transport.set_keepalive(KEEPALIVE)
    except BaseException:
        transport.close()
        raise
    return Link(transport)


def unreachable(login: Login, deadline: Deadline, error: BaseException) -> str:
    """Why there is no connection, in words."""
    if not deadline.left or isinstance(error, TimeoutError):
        return f"The submit host {login.place} did not answer within {login.timeout:g} s."
    why = getattr(error, "strerror", None) or str(error) or "the connection was closed"
    return f"The submit host {login.place} cannot be reached over SSH: {why}."


def _greeted(login: Login, deadline: Deadline) -> paramiko.Transport:
    """A connection to a host that has shown the key we know."""
    kind = login.host_key.partition(" ")[0]
    transport = _negotiated(login, deadline, kind)
    if transport is None:  # it has no key of the kind that is recorded: which has it?
        transport = _negotiated(login, deadline, "")
    try:
        if transport is None:
            raise paramiko.SSHException("it has no host key of a kind that is known here")
        key = transport.get_remote_server_key()
        offered = f"{key.get_name()} {key.get_base64()}"
        if offered != login.host_key:
            raise HostKeyNotAccepted(_not_accepted(login, offered), offered, fingerprint(offered))
    except BaseException:
        if transport is not None:
            transport.close()
        raise
    return transport


def _negotiated(login: Login, deadline: Deadline, kind: str) -> paramiko.Transport | None:
    """A connection that is encrypted and no more; None if the host has no key of this ``kind`` (empty: of any)."""
    transport = paramiko.Transport(_socket(login, deadline))
    try:
        transport.set_log_channel(LOG)
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = login.timeout
        transport.clear_to_send_timeout = login.timeout
        if kind:
            options = transport.get_security_options()
            options.key_types = [each for each in options.key_types if each in SIGNATURES.get(kind, (kind,))]
        done = threading.Event()
        transport.start_client(event=done)
        if not done.wait(deadline.left):
            raise TimeoutError
        if not transport.is_active():
            raise transport.get_exception() or paramiko.SSHException("it closed the connection")
    except paramiko.ssh_exception.IncompatiblePeer:
        transport.close()
        if kind:
            return None
        raise
    except BaseException:
        transport.close()
        raise
    return transport


SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")}
"""Ways to sign with a key of this kind, where they have other names than the key. RFC 8332."""


def _socket(login: Login, deadline: Deadline) -> socket.socket:
    """Connected to the first address of the host that answers."""
    error: OSError = OSError("it has no address")
    addresses = _addresses(login, deadline)
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        connecting = socket.socket(family, kind, protocol)
        try:
            # One that swallows everything, as a broken IPv6, leaves the others their share of the time.
            connecting.settimeout(deadline.left / (len(addresses) - number) or 0.001)
            connecting.connect(address)
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: also ends a send that nobody takes in
                connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(login.idle * 1000))
        except OSError as failed:
            connecting.close()
            error = failed
        else:
            return connecting
    raise error


def _addresses(login: Login, deadline: Deadline) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    """As ``getaddrinfo``, which has no time-out: a resolver that is silent holds up a thread, but not us."""
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(login.host, login.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name="jobsapi-resolve").start()
    try:
        answer = answers.get(timeout=deadline.left)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, UnicodeError):
        raise OSError(f"{login.host!r} is no name of a host")
    if isinstance(answer, OSError):
        raise answer
    return answer  # type: ignore[return-value]


def _not_accepted(login: Login, offered: str) -> str:
    shown = f"{offered.split()[0]} {fingerprint(offered)}"
    if login.host_key:
        return (
            f"The submit host {login.place} shows another key than the one recorded: {shown}. It may be another "
            "machine that pretends to be it. If its administrator confirms that the key was changed, have an "
            "administrator of this portal accept the new one. Nothing was sent to it."
        )
    return (
        f"The key of the submit host {login.place} is not accepted yet: {shown}. Compare it with what the host's "
        "administrator says (ssh-keygen -l -f /etc/ssh/ssh_host_..._key.pub there), then have an administrator of this "
        "portal accept it. Nothing was sent to it."
    )


def _log_in(transport: paramiko.Transport, login: Login, deadline: Deadline) -> None:
    """Log in with the keys, then with the password; a host may want both."""
    tried: list[str] = []
    refusals = 0
    accepts: set[str] = set()
    for name, attempt in _attempts(transport, login):
        tried.append(name)
        transport.auth_timeout = deadline.left
        try:
            with watchdog(deadline.left, transport.close):
                attempt()
        except paramiko.BadAuthenticationType as error:
            accepts.update(error.allowed_types)
        except paramiko.AuthenticationException:  # refused, or the connection was cut; the next one may be taken
            refusals += transport.is_active()
        except BROKEN as error:
            if not deadline.left:
                raise BackendUnavailable(unreachable(login, deadline, error)) from error
            if not transport.is_active():
                break  # it closes the connection after too many
        if transport.is_authenticated():
            return
        if not deadline.left:
            raise BackendUnavailable(unreachable(login, deadline, TimeoutError()))
    if tried and not transport.is_active() and not refusals and not accepts:
        raise BackendUnavailable(
            f"The submit host {login.place} closed the connection when {login.username} logged in with {tried[0]}. "
            "If it does so again, check the user name, the password and the key of the scheduler."
        )
    using = ", ".join(tried) or "nothing: neither password nor key is set, and the account of the workers has no key"
    offers = f" It accepts: {', '.join(sorted(accepts))}." if accepts else ""
    raise LoginFailed(
        f"The submit host {login.place} refuses the login of {login.username} with {using}.{offers} "
        "Check the user name, the password and the key of the scheduler."
    )


def _attempts(transport: paramiko.Transport, login: Login) -> Iterator[tuple[str, Callable[[], object]]]:
    for name, key in login.private_keys():
        yield name, partial(transport.auth_publickey, login.username, key)
    if login.password:
        yield "the password", partial(transport.auth_password, login.username, login.password)


@contextmanager
def watchdog(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Do ``act`` when the block takes longer: paramiko waits for some answers without a time-out."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def session(link: Link, seconds: float, deadline: Deadline) -> paramiko.Channel:
    """A new channel, within ``seconds``. Raises what is ``BROKEN``.

    Who else uses the link is left in peace, unless not even the question is sent before the ``deadline``.
    """
    with watchdog(deadline.left + SEND_GRACE, link.close):
        return link.transport.open_session(timeout=seconds)


def start(channel: paramiko.Channel, line: bytes) -> None:
    """Ask for a command to be run, and let its input follow at once (RFC 4254, 6.5). A host that refuses closes it.

    ``Channel.exec_command`` waits for the host's consent first, which is a round trip.
    """
    request = paramiko.Message()
    request.add_byte(cMSG_CHANNEL_REQUEST)
    request.add_int(channel.remote_chanid)
    request.add_string("exec")
    request.add_boolean(True)
    request.add_string(line)
    channel.transport._send_user_message(request)


def hear(channel: paramiko.Channel, input: bytes, deadline: Deadline) -> tuple[int, bytes, bytes]:
    """Feed a command and hear it to its end: status, output, errors. One without input must not wait for its end.

    Raises ``TimeoutError``, and ``EOFError`` when it ended without a status or says more than ``ANSWER_MAX`` bytes.
    """
    out, err, rest = bytearray(), bytearray(), memoryview(input)
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    channel.setblocking(False)
    end = deadline
    while True:
        heard = _take(channel, out, err)
        if input:
            rest = _feed(channel, rest)
        if heard and deadline.left:
            continue
        if channel.eof_received or channel.closed:
            break
        if end is deadline and channel.exit_status_ready():
            # What the command has left behind may hold the streams open for ever.
            end = Deadline(min(deadline.left, STATUS_GRACE))
        if not end.left:
            break
        poll.poll(1000 * min(end.left, FEED_PAUSE if rest else 1.0))
    if not channel.status_event.wait(deadline.left):
        raise TimeoutError
    _take(channel, out, err)
    status = channel.recv_exit_status()
    if status == -1:
        raise EOFError("the connection was cut")
    return status, bytes(out), bytes(err)


ANSWER_MAX = 512 * 1024**2
"""Bytes that are taken of one answer: a host may say more and more until our memory is full."""
CHUNK = 32 * 1024
FEED_PAUSE = 0.02


def _take(channel: paramiko.Channel, out: bytearray, err: bytearray) -> bool:
    """Add what has been said meanwhile; whether it was anything."""
    before = len(out) + len(err)
    while channel.recv_ready() or channel.recv_stderr_ready():
        if channel.recv_ready():
            out += channel.recv(CHUNK)
        if channel.recv_stderr_ready():
            err += channel.recv_stderr(CHUNK)
        if len(out) + len(err) > ANSWER_MAX:
            raise EOFError(f"it said more than {ANSWER_MAX:,} bytes")
    return len(out) + len(err) > before


def _feed(channel: paramiko.Channel, rest: memoryview) -> memoryview:
    """Send what of the input can be sent now; what is left of it."""
    try:
        while rest and not channel.closed:
            rest = rest[channel.send(rest[:CHUNK].tobytes()) :]
        _end_input(channel)
    except TimeoutError:
        return rest
    except OSError:
        if not channel.closed:  # it has ended without reading all: its status says why
            raise
    return rest[:0]


def _end_input(channel: paramiko.Channel) -> None:
    """Say that no more comes, unless the command has ended.

    ``Channel.shutdown_write`` may say so after paramiko's own thread has closed the channel, for which a host cuts the
    connection, with all that others do on it.
    """
    with channel.lock:
        end = None if channel.closed else channel._send_eof()
        if end is not None:
            channel.transport._send_user_message(end)
