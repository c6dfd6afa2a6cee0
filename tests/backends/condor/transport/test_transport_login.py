"""Who is let in, which host is believed, and what it costs when it says nothing."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobsapi.backends.condor.transport.connection import fingerprint
from jobsapi.backends.condor.transport.login import Login, private_key
from jobsapi.exceptions import BackendUnavailable, HostKeyNotAccepted, LoginFailed
from tests.backends.condor.transport.rig import PASSPHRASE, Sshd, listening, sshd
from tests.rig.condor import CondorPool
from tests.rig.eventually import eventually
from tests.rig.services import folder, missing

pytestmark = pytest.mark.services

KEYS = {
    "rsa-pem": ("rsa", "-b", "3072", "-m", "PEM"),
    "rsa-openssh": ("rsa", "-b", "2048"),
    "rsa-pkcs8": ("rsa", "-b", "2048", "-m", "PKCS8"),
    "ecdsa-256-pem": ("ecdsa", "-b", "256", "-m", "PEM"),
    "ecdsa-384-openssh": ("ecdsa", "-b", "384"),
    "ecdsa-521-pkcs8": ("ecdsa", "-b", "521", "-m", "PKCS8"),
    "ed25519": ("ed25519",),
}


def logs_in(server: Sshd, **changes: Any) -> bool:
    """Whether a scheduler with these fields can be used; raises what ``open`` raises."""
    transport = server.transport(**changes)
    try:
        transport.open()
        return transport.run(["id", "-un"], folder=None, timeout=10).out.strip() == server.user
    finally:
        transport.close()


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_a_key_of_any_type_and_format_opens_the_door(server: Sshd, kind: str, passphrase: str) -> None:
    key = server.make_key(f"{kind}-{bool(passphrase)}", *KEYS[kind], passphrase=passphrase, authorize=True)
    assert logs_in(server, private_key_path=str(key), private_key_pass=passphrase)


def test_a_passphrase_for_a_key_that_needs_none_does_no_harm(server: Sshd) -> None:
    assert logs_in(server, private_key_pass="not needed")


def test_a_password_opens_the_door(server: Sshd, password: str) -> None:
    assert logs_in(server, private_key_path="", password=password)


def test_a_password_is_tried_when_the_key_is_refused(server: Sshd, password: str) -> None:
    stranger = server.make_key("stranger-with-password", "ed25519")
    assert logs_in(server, private_key_path=str(stranger), password=password)


def test_a_host_that_wants_both_a_key_and_a_password_gets_both(condor_pool: CondorPool, password: str) -> None:
    with sshd(condor_pool.user, "AuthenticationMethods publickey,password\n") as server:
        assert logs_in(server, password=password)
        with pytest.raises(BackendUnavailable, match="refuses the login"):
            logs_in(server)


def test_a_wrong_password_is_refused_in_words_that_do_not_show_it(server: Sshd) -> None:
    with pytest.raises(BackendUnavailable, match=r"refuses the login of .* with the password") as refused:
        logs_in(server, private_key_path="", password="s3cret-but-wrong")
    assert "s3cret" not in str(refused.value)


def test_secrets_are_not_shown_in_the_repr_of_a_login(server: Sshd) -> None:
    shown = repr(Login.of(server.row(password="s3cret", private_key_pass="passw0rd")))
    assert "s3cret" not in shown
    assert "passw0rd" not in shown


def test_a_key_that_is_not_authorized_is_refused(server: Sshd) -> None:
    stranger = server.make_key("stranger", "ed25519")
    with pytest.raises(BackendUnavailable, match=r"with the key .*stranger"):
        logs_in(server, private_key_path=str(stranger))


def test_a_key_file_that_is_missing_is_named(server: Sshd) -> None:
    with pytest.raises(BackendUnavailable, match="private key /nowhere/id cannot be read: No such file"):
        logs_in(server, private_key_path="/nowhere/id")


def test_a_key_in_the_home_of_nobody_is_named(server: Sshd) -> None:
    with pytest.raises(LoginFailed, match="~nobody-of-that-name/id cannot be read: No such file"):
        logs_in(server, private_key_path="~nobody-of-that-name/id")


def test_a_file_that_is_no_key_is_named(server: Sshd) -> None:
    with pytest.raises(BackendUnavailable, match=r"authorized cannot be opened\. It may be no private key"):
        logs_in(server, private_key_path=str(server.home / "authorized"))


@pytest.mark.parametrize("kind", ["rsa-pem", "ecdsa-521-pkcs8", "ed25519"])
def test_a_wrong_or_missing_passphrase_says_so(server: Sshd, kind: str) -> None:
    key = server.make_key(f"locked-{kind}", *KEYS[kind], passphrase=PASSPHRASE)
    with pytest.raises(BackendUnavailable, match="passphrase may be wrong"):
        private_key(key, "wrong")
    with pytest.raises(BackendUnavailable, match=r"needs? its passphrase"):
        private_key(key, "")


def test_an_account_that_is_not_there_is_refused(server: Sshd) -> None:
    with pytest.raises(BackendUnavailable, match="refuses the login of nobody-there"):
        logs_in(server, username="nobody-there")


def test_the_keys_of_the_account_are_tried_only_when_nothing_else_is_given(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an account with a key that opens the door, and one that is locked
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_text(server.key.read_text())
    server.make_key("account-rsa", "rsa", passphrase=PASSPHRASE)
    (tmp_path / ".ssh" / "id_rsa").write_text((server.home / "account-rsa").read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    # Then it is used when neither password nor key is set, and not otherwise
    assert logs_in(server, private_key_path="")
    with pytest.raises(BackendUnavailable, match="with the password"):
        logs_in(server, private_key_path="", password="wrong")


def test_the_keys_of_the_accounts_agent_are_tried_when_nothing_else_is_given(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder() as place:
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(place / "agent")], stdout=subprocess.DEVNULL)
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(place / "agent"))
            monkeypatch.setenv("HOME", str(tmp_path))
            eventually(lambda: (place / "agent").exists())
            subprocess.run(["ssh-add", "-q", str(server.key)], check=True)
            assert logs_in(server, private_key_path="")
        finally:
            agent.terminate()
            agent.wait()


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_the_host_is_asked_for_the_kind_of_key_that_is_recorded(server: Sshd, kind: str) -> None:
    assert logs_in(server, host_key=server.public(f"host_{kind}"))


def test_a_comment_behind_the_recorded_key_does_no_harm(server: Sshd) -> None:
    assert logs_in(server, host_key=f"{server.public()} root@cluster\n")


def test_a_host_whose_key_nobody_has_accepted_is_not_logged_in_to(server: Sshd) -> None:
    with pytest.raises(
        HostKeyNotAccepted, match=r"not accepted yet: .* administrator of this portal accept"
    ) as refused:
        logs_in(server, host_key="")
    kind, blob = refused.value.offered.split()
    assert f"{kind} {blob}" in {server.public(f"host_{each}") for each in ("ed25519", "rsa", "ecdsa")}
    assert refused.value.fingerprint == fingerprint(refused.value.offered)
    assert refused.value.fingerprint in str(refused.value)
    assert logs_in(server, host_key=refused.value.offered)


def test_the_fingerprint_is_what_ssh_keygen_prints(server: Sshd) -> None:
    said = subprocess.run(["ssh-keygen", "-l", "-f", str(server.home / "host_ed25519.pub")], capture_output=True)
    assert fingerprint(server.public()) == said.stdout.decode().split()[1]


def test_a_host_with_another_key_than_the_recorded_one_is_not_logged_in_to(server: Sshd) -> None:
    server.make_key("other_host", "ed25519")
    with pytest.raises(HostKeyNotAccepted, match="shows another key than the one recorded") as refused:
        logs_in(server, host_key=server.public("other_host"))
    assert refused.value.offered == server.public()


def test_a_host_that_has_no_key_of_the_recorded_kind_any_more_shows_what_it_has(condor_pool: CondorPool) -> None:
    with sshd(condor_pool.user, "HostKeyAlgorithms ssh-ed25519\n") as server:
        with pytest.raises(HostKeyNotAccepted, match="another key") as refused:
            logs_in(server, host_key=server.public("host_rsa"))
        assert refused.value.offered == server.public()


@pytest.mark.parametrize("host_key", ["nonsense", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3Nz"])
def test_a_recorded_key_that_is_none_accepts_no_host(server: Sshd, host_key: str) -> None:
    with pytest.raises(HostKeyNotAccepted):
        logs_in(server, host_key=host_key)


def test_nothing_is_sent_to_a_host_that_is_not_accepted(server: Sshd) -> None:
    before = server.process.log.read_text().count(f"for {server.user}")
    with pytest.raises(HostKeyNotAccepted):
        logs_in(server, host_key="")
    assert logs_in(server)
    assert eventually(lambda: server.process.log.read_text().count(f"for {server.user}") == before + 1)


def test_a_port_where_nobody_listens_is_unavailable_in_words(server: Sshd) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(
            BackendUnavailable, match=rf"127\.0\.0\.1:{port} cannot be reached over SSH: Connection refused"
        ):
            logs_in(server, port=port)


def test_a_host_name_that_does_not_exist_is_unavailable_in_words(server: Sshd) -> None:
    with pytest.raises(BackendUnavailable, match=r"nowhere\.invalid:\d+ cannot be reached"):
        logs_in(server, host="nowhere.invalid")
    with pytest.raises(BackendUnavailable, match="is no name of a host"):
        logs_in(server, host="a..b" + "x" * 70)


@pytest.mark.parametrize("timeout", ["0", "-5", "nan", "inf", "1e10"])
def test_a_time_out_that_nobody_can_wait_for_is_named(server: Sshd, timeout: str) -> None:
    with pytest.raises(BackendUnavailable, match=f'The time-out "{timeout}" of the scheduler "submit host" is no time'):
        Login.of(server.row(timeout=timeout))


def test_an_account_of_the_workers_without_a_name_is_no_user_name(server: Sshd, monkeypatch: Any) -> None:
    # Given a container that runs with a mere number
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(BackendUnavailable, match='The scheduler "submit host" has no user name'):
        Login.of(server.row(username=""))


def test_an_address_in_brackets_is_an_address(server: Sshd) -> None:
    login = Login.of(server.row(host="[::1]", port=22))
    assert (login.host, login.place) == ("::1", "[::1]:22")


def test_an_address_that_swallows_everything_leaves_time_for_the_next(server: Sshd, monkeypatch: Any) -> None:
    # Given a host with two addresses, of which the first lets nobody in, nor says so
    with socket.socket() as full, ExitStack() as queue:
        full.bind(("127.0.0.2", server.port))
        full.listen(0)
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        resolve = socket.getaddrinfo

        def both(host: str, *args: Any, **options: Any) -> list[Any]:
            return [each for address in ("127.0.0.2", "127.0.0.1") for each in resolve(address, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert logs_in(server, host="two-addresses", timeout="4")


def test_a_connection_that_is_cut_during_the_login_is_no_refusal(condor_pool: CondorPool) -> None:
    # Given an sshd that takes no login at all, and says nothing of it
    with sshd(condor_pool.user, "MaxAuthTries 1\n") as server:
        stranger = server.make_key("stranger", "ed25519")
        with pytest.raises(BackendUnavailable, match=r"closed the connection when .* logged in with the key") as caught:
            logs_in(server, private_key_path=str(stranger))
    assert not isinstance(caught.value, LoginFailed)


def test_a_time_out_that_is_no_number_is_named(server: Sshd) -> None:
    with pytest.raises(BackendUnavailable, match='time-out "soon" of the scheduler "submit host"'):
        server.transport(timeout="soon")


@contextmanager
def listener(say: bytes = b"") -> Iterator[int]:
    """The port of a server that accepts connections, says ``say``, and no more."""

    def meet(connection: socket.socket) -> list[socket.socket]:
        connection.sendall(say)
        return []

    with listening(meet) as port:
        yield port


@pytest.mark.parametrize("say", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"Welcome\r\n" * 50])
def test_a_host_that_accepts_and_says_no_more_costs_the_time_out(server: Sshd, say: bytes) -> None:
    with listener(say) as port:
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match=r"did not answer within 1 s|cannot be reached"):
            logs_in(server, port=port, timeout="1")
        assert time.monotonic() - began < 2


def test_something_that_does_not_speak_ssh_is_unavailable(server: Sshd) -> None:
    with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200) as port, pytest.raises(BackendUnavailable):
        logs_in(server, port=port, timeout="2")


def test_a_farewell_that_is_not_utf_8_is_unavailable(server: Sshd) -> None:
    # Given a host that says good-bye in Latin-1 (RFC 4253, 11.1): code, words, language
    words = "Verbindung verfällt".encode("latin-1")
    payload = struct.pack(f">BII{len(words)}sI", 1, 2, len(words), words, 0)
    padding = 16 - (len(payload) + 5) % 8
    packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)
    with (
        listener(b"SSH-2.0-OpenSSH_9.2\r\n" + packet) as port,
        pytest.raises(BackendUnavailable, match="cannot be reached over SSH"),
    ):
        logs_in(server, port=port, timeout="3")


def test_an_sshd_that_is_frozen_costs_the_time_out(condor_pool: CondorPool) -> None:
    with sshd(condor_pool.user) as server, server.frozen():
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="did not answer within 1 s"):
            logs_in(server, timeout="1")
        assert time.monotonic() - began < 2


def test_threads_that_wait_for_one_silent_host_wait_once(server: Sshd) -> None:
    with listener() as port:
        transport = server.transport(port=port, timeout="1.5")
        began, failures = time.monotonic(), []

        def attempt() -> None:
            try:
                transport.open()
            except BackendUnavailable as error:
                failures.append(str(error))

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failures) == 4
        assert time.monotonic() - began < 2.5


@pytest.fixture
def password(condor_pool: CondorPool) -> str:
    if os.geteuid():
        missing("Without root the tests have no account with a password.")
    return condor_pool.ssh.password.strip()
