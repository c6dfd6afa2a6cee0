"""Commands arrive as they were given, and end in time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_EOF

from jobsapi.backends.condor.transport import CommandKilled, LocalTransport, SshTransport, Transport, connection
from jobsapi.backends.condor.transport.remote import answer, command_line
from jobsapi.backends.condor.transport.upload import PACKED_MAX
from jobsapi.exceptions import BackendUnavailable, InvalidJob, TransferFailed
from tests.backends.condor.transport.rig import SFTP_SERVER, login_script, new_folder, running, sshd
from tests.rig.condor import CondorPool
from tests.rig.eventually import eventually
from tests.rig.services import folder

pytestmark = pytest.mark.services

ODD = [
    "",
    " ",
    "two words",
    "it's",
    'a "quote"',
    "$(touch broken-out)",
    "`touch broken-out`",
    "; touch broken-out",
    "| touch broken-out &",
    "$HOME ${HOME}",
    "back\\slash \\0101 \\n",
    "percent %s %n %%",
    "history !! !1 !$",
    "*",
    "~",
    "-n",
    "--help",
    "#comment",
    "line\nbreak",
    "break at the end\n\n",
    "tab\tand\rreturn",
    "bell\x07\x1b[31m",
    "ünïcode 日本 🐍",
    "\udcff not UTF-8 \udc80.",
    "{a,b} [x] (y) <z>",
    "e\\0101",
    "rest",
]
LOGIN_SHELLS = [shell for shell in ("sh", "dash", "bash", "zsh", "ksh", "tcsh", "csh", "fish") if shutil.which(shell)]
ECHO = [sys.executable, "-c", "import os,sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"]
PRINT = ["printf", "%s\\0"]


def test_a_command_gives_its_status_and_both_streams(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "echo out; echo err >&2; exit 3"], folder=None, timeout=10)
    assert (done.status, done.out, done.err) == (3, "out\n", "err\n")


def test_a_command_runs_in_its_folder(transport: Transport, own: str) -> None:
    transport.stage(own, texts={"it": "is here"}, folders=[], inputs={})
    assert transport.run(["cat", "it"], folder=own, timeout=10).out == "is here"


def test_arguments_arrive_unharmed_and_nothing_breaks_out(
    transport: Transport, own: str, shell: Callable[..., str]
) -> None:
    transport.stage(own, texts={}, folders=[], inputs={})
    done = transport.run([*PRINT, *ODD], folder=own, timeout=10)
    assert done.out.split("\0")[:-1] == [word.encode(errors="surrogateescape").decode(errors="replace") for word in ODD]
    assert shell("ls -A", folder=own) == ""


@pytest.mark.parametrize("name", ["a b", "it's", "$(touch broken-out)", "-rf", "line\nbreak", "back\\slash", "ü"])
def test_a_folder_with_an_odd_name_is_just_a_folder(
    transport: Transport, own: str, shell: Callable[..., str], name: str
) -> None:
    transport.stage(own, texts={f"{name}/it": "is here"}, folders=[], inputs={})
    assert transport.run(["cat", "it"], folder=f"{own}/{name}", timeout=10).out == "is here"
    assert transport.read([f"{own}/{name}/it"], limit=100) == {f"{own}/{name}/it": b"is here"}
    assert shell("ls -Ab | wc -l", folder=own).strip() == "1"


@pytest.mark.parametrize("login_shell", LOGIN_SHELLS)
def test_every_login_shell_hands_arguments_over_unharmed(login_shell: str, tmp_path: Path) -> None:
    line = command_line([*ECHO, *ODD], str(tmp_path), 10)
    done = subprocess.run([login_shell, "-c", os.fsencode(line)], capture_output=True, check=True)
    assert (answer(done.stdout) or b"").split(b"\0") == [os.fsencode(word) for word in ODD]
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_too_long_for_a_line_is_refused(ssh: SshTransport) -> None:
    with pytest.raises(InvalidJob, match="too long"):
        ssh.run(["echo", "x" * 130_000], folder=None, timeout=10)


def test_two_mebibytes_on_each_stream_are_read(transport: Transport) -> None:
    script = "head -c 2097152 /dev/zero | tr '\\0' e >&2; head -c 2097152 /dev/zero | tr '\\0' o"
    done = transport.run(["sh", "-c", script], folder=None, timeout=20)
    assert (done.out, done.err) == ("o" * 2097152, "e" * 2097152)


def test_a_host_that_says_more_and_more_is_not_listened_to_for_ever(ssh: SshTransport, monkeypatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_MAX", 1024**2)
    for stream in ("", ">&2"):
        with pytest.raises(BackendUnavailable, match="said more than 1,048,576 bytes"):
            ssh.run(["sh", "-c", f"yes {stream}"], folder=None, timeout=20)
    assert ssh.run(["echo", "again"], folder=None, timeout=20).out == "again\n"


def test_input_of_five_megabytes_arrives(transport: Transport) -> None:
    assert transport.run(["wc", "-c"], folder=None, timeout=20, input=b"x" * 5_000_000).out.strip() == "5000000"


def test_a_command_that_does_not_read_its_input_ends_well(transport: Transport) -> None:
    assert transport.run(["echo", "done"], folder=None, timeout=20, input=b"x" * 5_000_000).out == "done\n"


def test_a_command_that_outlives_its_time_is_killed_with_what_it_started(transport: Transport) -> None:
    # Given a command that ignores SIGTERM, and has a child
    word = uuid.uuid4().hex
    script = "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' \"$0\" & wait; while :; do sleep 1; done"

    # When its time is over
    began = time.monotonic()
    with pytest.raises(BackendUnavailable, match="did not answer in time"):
        transport.run(["sh", "-c", script, word], folder=None, timeout=1)

    # Then we waited no longer, and soon nothing of it is left
    assert time.monotonic() - began < 3
    eventually(lambda: not running(word))


def test_a_command_that_ends_at_its_time_out_is_known_to_have_ended(transport: Transport) -> None:
    word = "3" + str(uuid.uuid4().int)[:8]
    with pytest.raises(CommandKilled, match="sleep did not answer in time"):
        transport.run(["sleep", word], folder=None, timeout=0.5)
    assert not running(word)


def test_a_status_of_124_that_comes_in_time_is_only_a_status(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "exit 124"], folder=None, timeout=10).status == 124


def test_a_command_that_leaves_something_behind_does_not_hold_us_up(transport: Transport) -> None:
    word = "4" + str(uuid.uuid4().int)[:8]
    began = time.monotonic()
    with_child = transport.run(["sh", "-c", "setsid sleep $0 & echo out", word], folder=None, timeout=3)
    assert with_child.out == "out\n"
    assert time.monotonic() - began < 6
    for process in running(word):
        process.kill()


def test_a_command_that_is_not_installed_says_so(transport: Transport) -> None:
    with pytest.raises(BackendUnavailable, match=r"condor_nothing cannot be run .*Is it installed there"):
        transport.run(["condor_nothing"], folder=None, timeout=10)


def test_a_folder_that_is_not_there_says_so(transport: Transport, own: str) -> None:
    with pytest.raises(TransferFailed, match="is not there"):
        transport.run(["true"], folder=own, timeout=10)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the account of the sshd can read."""
    with folder() as path:
        path.chmod(0o755)
        yield path


def test_what_a_login_script_says_is_no_part_of_the_answer(condor_pool: CondorPool, place: Path) -> None:
    with sshd(condor_pool.user, login_script(place, "echo Welcome; echo Welcome >&2")) as server:
        transport = server.transport()
        done = transport.run(["echo", "[]"], folder=None, timeout=10)
        transport.close()
    assert (done.out, done.err) == ("[]\n", "")


def test_a_login_script_that_says_something_to_sftp_is_named(condor_pool: CondorPool, place: Path) -> None:
    (place / "large").write_bytes(bytes(2 * PACKED_MAX))
    with sshd(condor_pool.user, login_script(place, "echo Welcome")) as server:
        transport = server.transport()
        own = new_folder(transport, place)
        with pytest.raises(BackendUnavailable, match=r"does not speak SFTP .* A login script of .* may say something"):
            transport.stage(own, texts={}, folders=[], inputs={"large": place / "large"})
        transport.remove([own])
        assert transport.exchanges["connect"] == 1
        transport.close()


@pytest.mark.parametrize("sftp", ["sftp-server", "internal-sftp"])
def test_a_login_script_that_goes_elsewhere_changes_no_folder(condor_pool: CondorPool, place: Path, sftp: str) -> None:
    # Given an account whose commands begin elsewhere than at home, and files with them or not
    (place / "large").write_bytes(os.urandom(2 * PACKED_MAX))
    away = "cd /" if sftp == "sftp-server" else f"case $SSH_ORIGINAL_COMMAND in {SFTP_SERVER}) ;; *) cd /; esac"
    with sshd(condor_pool.user, login_script(place, away)) as server:
        transport = server.transport()
        own = new_folder(transport, place)
        transport.stage(own, texts={"it": "is here"}, folders=[], inputs={"large": place / "large"})
        assert transport.run(["pwd"], folder=own, timeout=10).out.endswith(f"/{own}\n")
        assert transport.bring(own, place / "home").files == 2
        assert transport.run(["sh", "-c", 'test "$PWD" = "$HOME"'], folder=None, timeout=10).status == 0
        transport.remove([own])
        transport.close()


def test_a_host_without_timeout_says_that_nothing_can_be_run(condor_pool: CondorPool, place: Path) -> None:
    (place / "sh").symlink_to("/bin/sh")
    with sshd(condor_pool.user, login_script(place, f"PATH={place}")) as server:
        transport = server.transport()
        with pytest.raises(BackendUnavailable, match=r"condor_submit cannot be run .*timeout: not found"):
            transport.run(["condor_submit"], folder=None, timeout=10)
        transport.close()


def test_our_own_commands_speak_english_and_those_of_callers_the_language_of_the_account(
    condor_pool: CondorPool, place: Path
) -> None:
    # Given an account that writes down what language its commands have
    (place / "said").touch(0o666)
    (place / "said").chmod(0o666)
    (place / "sha256sum").write_text(f'#!/bin/sh\necho "$LC_ALL" >>{place}/said; exec /usr/bin/sha256sum "$@"\n')
    (place / "sha256sum").chmod(0o755)
    script = f"export LC_ALL=de_DE.UTF-8 PATH={place}:$PATH"
    with sshd(condor_pool.user, login_script(place, script)) as server:
        transport = server.transport()
        own = new_folder(transport, place)
        transport.stage(own, texts={"it": "is here"}, folders=[], inputs={})
        transport.bring(own, place / "home")
        assert set((place / "said").read_text().split()) == {"C"}
        assert transport.run(["sh", "-c", "echo $LC_ALL"], folder=None, timeout=10).out == "de_DE.UTF-8\n"
        transport.remove([own])
        transport.close()


def test_an_account_that_can_run_no_command_says_why(condor_pool: CondorPool) -> None:
    with sshd(condor_pool.user, "ForceCommand echo This account is closed.\n") as server:
        transport = server.transport()
        with pytest.raises(BackendUnavailable, match=r"No command can be run .* This account is closed\."):
            transport.run(["true"], folder=None, timeout=10)
        transport.close()


def test_a_local_command_ends_in_time_though_its_worker_was_killed(tmp_path: Path) -> None:
    # Given a process that runs a command with a time-out, and is killed
    word = "5" + str(uuid.uuid4().int)[:8]
    program = (
        "from jobsapi.backends.condor.transport import LocalTransport\n"
        f"LocalTransport().run(['sleep', '{word}'], folder=None, timeout=2)"
    )
    worker = subprocess.Popen([sys.executable, "-c", f"import django; django.setup()\n{program}"])
    eventually(lambda: running(word), 20)
    worker.send_signal(signal.SIGKILL)
    worker.wait()

    # Then the command is there, and ends by itself
    assert running(word)
    eventually(lambda: not running(word))


def test_commands_here_know_no_secrets_of_the_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "BEARER_TOKEN_FILE", "KRB5CCNAME", "X509_USER_PROXY", "CONDOR_CONFIG", "_CONDOR_SCHEDD_HOST",
        "_CONDOR_SEC_TOKEN_DIRECTORY", "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS",
    }  # fmt: skip
    secret = {
        "BEARER_TOKEN", "SECRET_KEY", "DATABASE_URL", "_CONDOR_SEC_PASSWORD", "_CONDOR_Vault_Secret",
        "_condor_my_token", "_CONDOR_SEC_TOKEN_DIRECTORY_TOO", "_CONDOR_API_TOKEN",
    }  # fmt: skip
    for name in told | secret:
        monkeypatch.setenv(name, f"value of {name}")

    out = LocalTransport().run(["env"], folder=None, timeout=10).out

    assert {name for name in told | secret if f"value of {name}\n" in out} == told


def test_threads_share_one_connection(ssh: SshTransport) -> None:
    together = threading.Barrier(8)

    def ask(number: int) -> str:
        together.wait(10)
        return "".join(
            ssh.run(["sh", "-c", "sleep 0.0$0; echo $0", str(number)], folder=None, timeout=20).out for _ in range(5)
        )

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [f"{number}\n" * 5 for number in range(8)]
    assert ssh.exchanges == {"connect": 1, "run": 40}


@pytest.mark.parametrize("input", [b"", b"x"])
def test_a_command_that_ends_while_its_input_does_cuts_nobody_off(
    ssh: SshTransport, monkeypatch: pytest.MonkeyPatch, input: bytes
) -> None:
    # Given that it takes a while to tell the host that no more input comes, until the command has ended
    send = paramiko.Transport._send_user_message

    def late(transport: paramiko.Transport, message: paramiko.Message) -> None:
        if message.asbytes()[:1] == cMSG_CHANNEL_EOF and threading.current_thread() is not transport:
            time.sleep(0.5)
        send(transport, message)

    monkeypatch.setattr(paramiko.Transport, "_send_user_message", late)
    connections = ssh.exchanges["connect"]

    said = [ssh.run(["head", "-c", "1"], folder=None, timeout=20, input=input).out.encode() for _ in range(3)]

    assert said == [input] * 3
    assert ssh.exchanges["connect"] <= max(connections, 1)
