"""Files arrive whole or not at all, what is there is not sent again, and nothing leaves its folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobsapi.backends.condor.transport import CommandKilled, LocalTransport, SshTransport, Transport
from jobsapi.backends.condor.transport.base import INCOMING, TAILS_MAX
from jobsapi.backends.condor.transport.remote import READ, entries
from jobsapi.exceptions import BackendUnavailable, InvalidJob, TransferFailed
from tests.backends.condor.transport.rig import PORTAL, Sshd, new_folder, sshd
from tests.rig.condor import CondorPool
from tests.rig.eventually import eventually
from tests.rig.line import line
from tests.rig.services import folder

pytestmark = pytest.mark.services

ODD_NAMES = [
    "a b",
    "it's",
    '"q"',
    "$(x)",
    "`x`",
    "line\nbreak",
    "back\\slash\\n",
    "ü 日本",
    "-rf",
    "*",
    "a:b",
    "!x",
    ".hidden",
]
SMALL = 2_000_000


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with all that a folder can hold and a job may want."""
    top = tmp_path / "inputs"
    (top / "empty folder").mkdir(parents=True)
    (top / "deep" / "down" / "it is").mkdir(parents=True)
    (top / "deep" / "down" / "it is" / "file").write_text("deep")
    (top / "empty").touch()
    (top / "binary").write_bytes(os.urandom(SMALL))
    (top / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (top / "run.sh").chmod(0o755)
    for name in ODD_NAMES:
        (top / name).write_text(name)
    (top / os.fsdecode(b"not-utf8-\xff")).write_text("x")
    return top


def contents(folder: str | Path) -> dict[str, object]:
    """All below a folder: bytes and whether they can be run, links, and None for folders."""
    found: dict[str, object] = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        else:
            found[name] = (
                None if path.is_dir() else (path.read_bytes(), os.access(path, os.X_OK) and path.stat().st_mode & 0o100)
            )
    return found


def at_the_other_end(transport: Transport, folder: str, home: Path) -> dict[str, object]:
    """What is in an own folder."""
    if isinstance(transport, LocalTransport):
        return contents(folder)
    transport.bring(folder, home)
    return contents(home)


def test_texts_folders_and_inputs_are_there_afterwards(
    transport: Transport, own: str, inputs: Path, tmp_path: Path
) -> None:
    transport.stage(
        own,
        texts={"job/job.job": "queue\n", "ü": "ü"},
        folders=["job/logs"],
        inputs={"all": inputs, "run": inputs / "run.sh"},
    )
    there = at_the_other_end(transport, own, tmp_path / "home-1")
    assert there.pop("job/job.job") == (b"queue\n", 0)
    assert there.pop("ü") == ("ü".encode(), 0)
    assert there.pop("run") == ((inputs / "run.sh").read_bytes(), 0o100)
    assert [there.pop(name, "missing") for name in ("job", "job/logs", "all")] == [None, None, None]
    assert there == {f"all/{name}": content for name, content in contents(inputs).items()}


def test_a_second_stage_sends_nothing(transport: Transport, own: str, inputs: Path) -> None:
    what = {"texts": {"a": "text"}, "folders": ["logs"], "inputs": {"all": inputs}}
    transport.stage(own, **what)  # type: ignore[arg-type]
    sent = transport.exchanges["sent"]
    assert sent == sum(path.is_file() for path in inputs.rglob("*")) + 1
    transport.stage(own, **what)  # type: ignore[arg-type]
    assert transport.exchanges["sent"] == sent


def test_what_was_changed_at_the_other_end_is_sent_again_and_nothing_else(
    transport: Transport, own: str, inputs: Path, shell: Callable[..., str], tmp_path: Path
) -> None:
    # Given a file of other content and the same size, one that is longer, one that cannot be run, one that is gone
    transport.stage(own, texts={}, folders=[], inputs={"all": inputs})
    shell(
        "cd all && printf DEEP >'deep/down/it is/file' && echo more >>binary && chmod a-x run.sh && rm empty",
        folder=own,
    )
    sent = transport.exchanges["sent"]

    # When it is staged again
    transport.stage(own, texts={}, folders=[], inputs={"all": inputs})

    # Then these four were sent
    assert transport.exchanges["sent"] == sent + 4
    there = at_the_other_end(transport, own, tmp_path / "home-1")
    assert {f"all/{name}": content for name, content in contents(inputs).items()}.items() <= there.items()


def test_an_input_that_changed_here_is_sent_again(transport: Transport, own: str, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("one")
    transport.stage(own, texts={}, folders=[], inputs={"input": tmp_path / "input"})
    (tmp_path / "input").write_text("two")
    transport.stage(own, texts={}, folders=[], inputs={"input": tmp_path / "input"})
    assert transport.run(["cat", "input"], folder=own, timeout=10).out == "two"


def test_inputs_are_copied_and_never_linked(transport: Transport, own: str, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("content")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_text("inside")
    (tmp_path / "folder" / "link").symlink_to("real")
    transport.stage(own, texts={}, folders=[], inputs={"a": tmp_path / "link", "b": tmp_path / "folder"})
    there = at_the_other_end(transport, own, tmp_path / "home-1")
    assert there == {"a": (b"content", 0), "b": None, "b/link": (b"inside", 0), "b/real": (b"inside", 0)}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", ".", "..", "nowhere", "link"])
def test_a_link_that_leads_out_of_an_input_folder_is_refused(
    transport: Transport, own: str, tmp_path: Path, target: str
) -> None:
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(target)
    with pytest.raises(InvalidJob, match=r"link"):
        transport.stage(own, texts={}, folders=[], inputs={"b": tmp_path / "folder"})


def test_an_input_that_is_not_there_is_named(transport: Transport, own: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidJob, match=r"The input .*absent cannot be read: No such file"):
        transport.stage(own, texts={}, folders=[], inputs={"absent": tmp_path / "absent"})


def test_an_input_that_cannot_even_be_looked_at_is_named(transport: Transport, own: str) -> None:
    with pytest.raises(InvalidJob, match="cannot be read: File name too long"):
        transport.stage(own, texts={}, folders=[], inputs={"a": Path("/" + "x" * 300)})


def test_a_fifo_among_the_inputs_is_refused_and_not_waited_for(transport: Transport, own: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidJob, match="neither a file nor a folder"):
        transport.stage(own, texts={}, folders=[], inputs={"fifo": tmp_path / "fifo"})


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../../x", "/etc/x", "a//b", "a/", "nul\0", f"{INCOMING}/1", INCOMING]
)
def test_names_that_lead_out_of_the_own_folder_are_refused(
    transport: Transport, own: str, tmp_path: Path, name: str
) -> None:
    (tmp_path / "input").touch()
    with pytest.raises(InvalidJob):
        transport.stage(own, texts={name: "x"}, folders=[], inputs={})
    with pytest.raises(InvalidJob):
        transport.stage(own, texts={}, folders=[name], inputs={})
    with pytest.raises(InvalidJob):
        transport.stage(own, texts={}, folders=[], inputs={name: tmp_path / "input"})


def test_two_files_of_one_name_are_refused(transport: Transport, own: str, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(InvalidJob, match="Two files of the job are called 'a'"):
        transport.stage(own, texts={"a": "x"}, folders=[], inputs={"a": tmp_path / "a"})


def test_a_link_where_a_folder_must_be_is_not_followed(
    transport: Transport, own: str, shell: Callable[..., str]
) -> None:
    # Given a job that left a link in place of its log folder
    transport.stage(own, texts={}, folders=["job", "elsewhere"], inputs={})
    shell("ln -s ../elsewhere job/logs", folder=own)

    # Then nothing is written through it
    with pytest.raises(TransferFailed, match="link"):
        transport.stage(own, texts={"job/logs/x": "x"}, folders=[], inputs={})
    assert shell("ls -A elsewhere", folder=own) == ""


def test_an_own_folder_that_is_a_link_is_not_written_to(
    transport: Transport, own: str, shell: Callable[..., str]
) -> None:
    victim = own + ".victim"
    shell('mkdir -p -- "$1" && ln -s -- "$(cd "$1" && pwd)" "$2"', victim, own)
    with pytest.raises(TransferFailed):
        transport.stage(own, texts={"x": "x"}, folders=[], inputs={})
    assert shell('ls -A "$1"; rm -r "$1"', victim) == ""


def test_a_link_where_a_file_goes_is_replaced_and_its_target_stays(
    transport: Transport, own: str, shell: Callable[..., str]
) -> None:
    transport.stage(own, texts={"target": "target"}, folders=[], inputs={})
    shell("ln -s target file", folder=own)
    transport.stage(own, texts={"file": "new"}, folders=[], inputs={})
    assert shell("cat target file; test -L file || echo ' a file'", folder=own) == "targetnew a file\n"


def test_a_folder_where_a_file_goes_is_an_error_in_words(transport: Transport, own: str) -> None:
    transport.stage(own, texts={}, folders=["a"], inputs={})
    with pytest.raises(TransferFailed, match=r"directory|folder"):
        transport.stage(own, texts={"a": "x"}, folders=[], inputs={})


def test_the_umask_decides_who_may_read_what_is_staged_here(own_local: str, tmp_path: Path) -> None:
    (tmp_path / "run").touch(mode=0o700)
    for umask, expected in ((0o027, (0o750, 0o640, 0o750)), (0, (0o777, 0o666, 0o777))):
        before = os.umask(umask)
        try:
            LocalTransport().stage(
                f"{own_local}{umask}", texts={"a/b": ""}, folders=[], inputs={"run": tmp_path / "run"}
            )
        finally:
            os.umask(before)
        modes = tuple((Path(f"{own_local}{umask}") / name).stat().st_mode & 0o777 for name in ("a", "a/b", "run"))
        assert modes == expected


def test_many_small_files_go_there_and_back(ssh: SshTransport, own_folder: str, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(500):
        (tmp_path / "many" / str(number)).write_text(f"{number}" * number)
    ssh.stage(own_folder, texts={}, folders=[], inputs={"many": tmp_path / "many"})
    brought = ssh.bring(own_folder, tmp_path / "home-1")
    assert brought.files == 500
    assert contents(tmp_path / "home-1" / "many") == contents(tmp_path / "many")
    assert ssh.exchanges == {"connect": 1, "stage": 3, "bring": 2, "sent": 500, "brought": 500}


def test_a_job_of_small_files_is_staged_by_one_command(ssh: SshTransport, own_folder: str, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "run.sh").chmod(0o755)
    ssh.stage(
        own_folder,
        texts={"job/job.job": "queue\n"},
        folders=["job/logs"],
        inputs={"run.sh": tmp_path / "run.sh"},
        private={"secret": "secret"},
    )
    assert ssh.exchanges == {"connect": 1, "stage": 1, "sent": 3}
    said = ssh.run(["sh", "-c", "./run.sh; stat -c '%a %n' secret; find . -type d"], folder=own_folder, timeout=10).out
    assert said.splitlines() == ["ran", "600 secret", ".", "./job", "./job/logs"]


def test_a_job_is_staged_in_few_round_trips(server: Sshd, workspace: Path, tmp_path: Path) -> None:
    # Given a line that is longer than any pause within what is said
    (tmp_path / "input").write_text("input")
    with line(server.port, 0.05) as long:
        transport = server.transport(port=long.port)
        folder = new_folder(transport, workspace)
        transport.open()
        before = long.turns

        # When files are staged
        transport.stage(folder, texts={"a": "a", "b": "b"}, folders=["c"], inputs={"input": tmp_path / "input"})

        # Then one turn is for a channel and one for all the rest; the end of a channel may look like some more
        assert 2 <= long.turns - before <= 5
        transport.remove([folder])
        transport.close()


def test_what_an_upload_left_half_done_goes_with_the_next(
    ssh: SshTransport, own_folder: str, tmp_path: Path, inputs: Path
) -> None:
    # Given what a cut may leave, and a link that a job has put there
    ssh.stage(own_folder, texts={"kept": "kept"}, folders=[], inputs={})
    for left in (f"mkdir {INCOMING} && echo half >{INCOMING}/0", f"mkdir other && ln -s other {INCOMING}"):
        for what in ({"text": tmp_path / "text"}, {"all": inputs}):
            (tmp_path / "text").write_text("text")
            ssh.run(["sh", "-c", f"rm -rf other; {left}"], folder=own_folder, timeout=10)
            ssh.stage(own_folder, texts={}, folders=[], inputs=what)
            said = ssh.run(["sh", "-c", "ls -A; ls -A other || :"], folder=own_folder, timeout=10).out
            assert INCOMING not in said
    assert set(said.split()) == {"all", "kept", "other", "text"}


def test_a_file_that_arrived_otherwise_gets_no_name(
    condor_pool: CondorPool, own_folder: str, ssh: SshTransport, tmp_path: Path, inputs: Path
) -> None:
    # Given a host where tar writes something else than it is given
    with folder() as place:
        place.chmod(0o755)
        (place / "tar").write_text(f'#!/bin/sh\n/bin/tar "$@" && echo more >>{INCOMING}/1\n')
        (place / "tar").chmod(0o755)
        with sshd(condor_pool.user, f"SetEnv PATH={place}:/usr/local/bin:/usr/bin:/bin\n") as server:
            transport = server.transport()
            for what in ({}, {"all": inputs}):
                with pytest.raises(TransferFailed, match="b did not arrive whole"):
                    transport.stage(own_folder, texts={"a": "a", "b": "b"}, folders=[], inputs=what)
                assert transport.run(["ls", "-A"], folder=own_folder, timeout=10).out == ""
            transport.close()

    # Then a repeat ends well where it is as it should be
    ssh.stage(own_folder, texts={"a": "a", "b": "b"}, folders=[], inputs={})
    assert ssh.run(["cat", "a", "b"], folder=own_folder, timeout=10).out == "ab"


def test_a_second_bring_fetches_nothing_and_a_corrupt_file_is_fetched_again(
    ssh: SshTransport, own_folder: str, inputs: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home-1"
    ssh.stage(own_folder, texts={}, folders=[], inputs={"all": inputs})
    first = ssh.bring(own_folder, home)
    assert first.files == sum(path.is_file() for path in inputs.rglob("*"))
    assert first.size == sum(path.stat().st_size for path in inputs.rglob("*") if path.is_file())
    assert ssh.bring(own_folder, home).files == 0

    with open(home / "all" / "binary", "r+b") as file:
        file.write(b"corrupt")
    (home / "all" / "empty").unlink()
    assert ssh.bring(own_folder, home).files == 2
    assert contents(home / "all") == contents(inputs)


def test_what_else_is_at_home_stays(ssh: SshTransport, own_folder: str, tmp_path: Path) -> None:
    (tmp_path / "home-1").mkdir()
    (tmp_path / "home-1" / "mine").write_text("mine")
    ssh.stage(own_folder, texts={"theirs": "theirs"}, folders=[], inputs={})
    ssh.bring(own_folder, tmp_path / "home-1")
    assert contents(tmp_path / "home-1") == {"mine": (b"mine", 0), "theirs": (b"theirs", 0)}


def test_bringing_from_a_folder_that_is_gone_says_so(ssh: SshTransport, own_folder: str, tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="is not there"):
        ssh.bring(own_folder, tmp_path / "home-1")


def test_here_there_is_nothing_to_bring(own_local: str, tmp_path: Path) -> None:
    assert LocalTransport().bring(own_local, Path(own_local)).files == 0


def test_links_and_devices_of_a_hostile_tree_are_left_behind_and_named(
    ssh: SshTransport, own_folder: str, tmp_path: Path
) -> None:
    ssh.stage(own_folder, texts={"good": "good"}, folders=[], inputs={})
    ssh.run(["sh", "-c", "ln -s /etc/passwd p; ln -s /etc d; mkfifo f; ln good hard"], folder=own_folder, timeout=10)
    brought = ssh.bring(own_folder, tmp_path / "home-1")
    assert contents(tmp_path / "home-1") == {"good": (b"good", 0), "hard": (b"good", 0)}
    assert sorted(brought.skipped) == ["'d' is a link.", "'f' is neither a file nor a folder.", "'p' is a link."]


def test_what_a_job_has_locked_at_the_other_end_comes_home(ssh: SshTransport, own_folder: str, tmp_path: Path) -> None:
    # Given files and folders that are locked, as a script of a workflow may leave them
    texts = {"secret": "x", "f/f/x": "x", "g/x": "x", "h/x": "x", "h/i/x": "x"}
    ssh.stage(own_folder, texts=texts, folders=[], inputs={})
    ssh.run(["sh", "-c", "chmod 000 secret f/f f; chmod 600 g; chmod 300 h/i"], folder=own_folder, timeout=10)

    # Then nothing is lost when they are removed there
    brought = ssh.bring(own_folder, tmp_path / "home-1")
    assert {name for name, content in contents(tmp_path / "home-1").items() if content} == set(texts)
    assert brought.skipped == ()


def test_what_cannot_be_read_at_the_other_end_is_left_behind_and_named(
    ssh: SshTransport, own_folder: str, tmp_path: Path
) -> None:
    # Given a file and a folder of another account
    ssh.stage(own_folder, texts={"good": "good", "secret": "x", "f/x": "x"}, folders=[], inputs={})
    place = Path(ssh.run(["pwd"], folder=own_folder, timeout=10).out.strip())
    if os.geteuid():
        pytest.skip("Only root can have files of another account.")
    for name in ("secret", "f"):
        os.chown(place / name, 0, 0)
        (place / name).chmod(0o700)

    # Then all the others come home
    brought = ssh.bring(own_folder, tmp_path / "home-1")
    assert contents(tmp_path / "home-1") == {"good": (b"good", 0)}
    assert sorted(brought.skipped) == [
        f"{name!r} cannot be read at the submit host, so it did not come home." for name in ("f", "secret")
    ]
    shutil.rmtree(place)


def test_a_file_that_cannot_be_read_at_the_other_end_is_sent_anew(
    ssh: SshTransport, own_folder: str, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("run")
    (tmp_path / "run").chmod(0o755)
    what: Any = {"texts": {"a": "a"}, "folders": [], "inputs": {"run": tmp_path / "run"}}
    ssh.stage(own_folder, **what)
    ssh.run(["chmod", "000", "a", "run"], folder=own_folder, timeout=10)

    ssh.stage(own_folder, **what)

    assert ssh.run(["cat", "a", "run"], folder=own_folder, timeout=10).out == "arun"
    assert ssh.exchanges["sent"] == 4


@pytest.mark.parametrize("listed", ["", r"f 644 4 good\\0f 644", r"f 644 4 good"])
def test_a_list_that_was_cut_short_is_not_taken_for_a_whole_one(listed: str) -> None:
    with pytest.raises(ValueError, match="cut short"):
        entries(listed.replace(r"\\0", "\0").encode())


def test_names_that_lead_elsewhere_are_left_behind_and_named(
    server: Sshd, own_folder: str, tmp_path: Path, hostile_find: Callable[[str], SshTransport]
) -> None:
    # Given a host whose find lists what no file system can hold
    transport = hostile_find(r"f 644 0 ../../out\0f 644 0 /tmp/out\0d 755 0 a/../..\0f 644 0 \0f 755 4 good\0")
    transport.stage(own_folder, texts={"good": "good"}, folders=[], inputs={})

    # Then what is good comes home, and nothing else is made
    brought = transport.bring(own_folder, tmp_path / "below" / "home-1")
    assert len(brought.skipped) == 4
    assert contents(tmp_path / "below") == {"home-1": None, "home-1/good": (b"good", 0o100)}
    transport.close()


def test_a_link_at_home_is_not_followed(ssh: SshTransport, own_folder: str, tmp_path: Path) -> None:
    # Given a home with links that lead out of it, to a file and to a folder
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    (tmp_path / "home-1").mkdir()
    (tmp_path / "home-1" / "file").symlink_to("../out/file")
    ssh.stage(own_folder, texts={"file": "theirs"}, folders=[], inputs={})

    # Then a file takes the place of the link to a file
    ssh.bring(own_folder, tmp_path / "home-1")
    assert (tmp_path / "home-1" / "file").read_text() == "theirs"
    assert not (tmp_path / "home-1" / "file").is_symlink()

    # And what would go through the link to a folder goes nowhere
    (tmp_path / "home-1" / "folder").symlink_to("../out")
    ssh.stage(own_folder, texts={"folder/file": "theirs"}, folders=[], inputs={})
    with pytest.raises(TransferFailed, match="a link or a file is where a folder must be"):
        ssh.bring(own_folder, tmp_path / "home-1")
    assert (tmp_path / "out" / "file").read_text() == "mine"


def test_a_home_that_is_a_link_is_not_followed(ssh: SshTransport, own_folder: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "home-1").symlink_to("out")
    ssh.stage(own_folder, texts={"file": "theirs"}, folders=[], inputs={})
    with pytest.raises(TransferFailed, match="a link or a file"):
        ssh.bring(own_folder, tmp_path / "home-1")
    assert contents(tmp_path / "out") == {}


def test_a_cut_while_sending_leaves_no_half_file_and_a_repeat_ends_well(
    condor_pool: CondorPool, own_folder: str, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(60_000_000))
    with sshd(condor_pool.user) as server:
        transport = server.transport()

        def cut() -> None:
            watcher = server.transport()
            eventually(lambda: watcher.tails(own_folder, [f"{INCOMING}/1"], 1), 20)
            server.cut()

        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(BackendUnavailable, match="broke"):
            transport.stage(own_folder, texts={"text": "x"}, folders=[], inputs={"big": tmp_path / "big"})
        thread.join()
        assert transport.run(["sh", "-c", "ls"], folder=own_folder, timeout=10).out == ""
        transport.stage(own_folder, texts={"text": "x"}, folders=[], inputs={"big": tmp_path / "big"})
        assert transport.run(["ls", "-A"], folder=own_folder, timeout=10).out == "big\ntext\n"
        transport.close()


def test_a_cut_while_fetching_leaves_no_half_file_and_a_repeat_goes_on(
    condor_pool: CondorPool, own_folder: str, tmp_path: Path
) -> None:
    for number in range(4):
        (tmp_path / f"big{number}").write_bytes(os.urandom(20_000_000))
    home = tmp_path / "home-1"
    with sshd(condor_pool.user) as server:
        transport = server.transport()
        inputs = {f"big{number}": tmp_path / f"big{number}" for number in range(4)}
        transport.stage(own_folder, texts={}, folders=[], inputs=inputs)

        def cut() -> None:
            eventually(lambda: (home / "big0").exists() or list(home.glob("big*")), 20)
            server.cut()

        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(BackendUnavailable, match="broke"):
            transport.bring(own_folder, home)
        thread.join()
        here = [path for path in home.iterdir() if path.name != INCOMING]
        assert 0 < len(here) < 4
        assert all(path.stat().st_size == 20_000_000 for path in here)
        assert transport.bring(own_folder, home).files == 4 - len(here)
        assert [path.name for path in sorted(home.iterdir())] == [f"big{number}" for number in range(4)]
        transport.close()


def test_a_transfer_to_a_host_that_freezes_ends_after_the_idle_time_out(
    condor_pool: CondorPool, own_folder: str, tmp_path: Path, settings: Any
) -> None:
    settings.JOBSAPI = {**settings.JOBSAPI, "TRANSFER_TIMEOUT": 2.0}
    (tmp_path / "big").write_bytes(os.urandom(60_000_000))
    with sshd(condor_pool.user) as server:
        transport, watcher = server.transport(), server.transport()
        with (
            frozen_when(server, lambda: watcher.tails(own_folder, [f"{INCOMING}/0"], 1)),
            pytest.raises(BackendUnavailable, match=r"sent and took nothing for 2 s|broke"),
        ):
            transport.stage(own_folder, texts={}, folders=[], inputs={"big": tmp_path / "big"})
        transport.close()
        watcher.close()


def test_a_transfer_from_a_host_that_freezes_ends_after_the_idle_time_out(
    condor_pool: CondorPool, own_folder: str, tmp_path: Path, settings: Any
) -> None:
    settings.JOBSAPI = {**settings.JOBSAPI, "TRANSFER_TIMEOUT": 2.0}
    (tmp_path / "big").write_bytes(os.urandom(60_000_000))
    with sshd(condor_pool.user) as server:
        transport = server.transport()
        transport.stage(own_folder, texts={}, folders=[], inputs={"big": tmp_path / "big"})
        incoming = tmp_path / "home-1" / INCOMING
        with (
            frozen_when(server, lambda: list(incoming.glob("*"))),
            pytest.raises(BackendUnavailable, match=r"sent and took nothing for 2 s|broke"),
        ):
            transport.bring(own_folder, tmp_path / "home-1")
        transport.close()


@contextmanager
def frozen_when(server: Sshd, condition: Callable[[], object]) -> Iterator[None]:
    """A server that freezes in the middle of the block, and thaws at its end."""
    frozen = server.frozen()
    thread = threading.Thread(target=lambda: eventually(condition, 20) and frozen.__enter__())
    thread.start()
    try:
        yield
    finally:
        thread.join()
        frozen.__exit__(None, None, None)


def test_a_file_that_changes_while_it_is_fetched_is_not_taken(
    ssh: SshTransport, own_folder: str, tmp_path: Path
) -> None:
    # Given a file that is written anew all the time
    ssh.stage(own_folder, texts={"log": "x"}, folders=[], inputs={})
    script = "while :; do head -c 5000000 /dev/urandom >log; done"

    def outcome() -> str:
        try:
            ssh.bring(own_folder, tmp_path / "home-1")
        except TransferFailed as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(ssh.run, ["sh", "-c", script], folder=own_folder, timeout=4)

        # Then what was fetched is found not to be what was listed
        assert "log did not arrive as it was" in eventually(outcome)
        with pytest.raises(CommandKilled):
            writing.result()

    # And a repeat ends well once the file is at rest
    ssh.bring(own_folder, tmp_path / "home-1")


@pytest.fixture
def small_disk(own_folder: str, ssh: SshTransport) -> Iterator[str]:
    """An own folder on a disk of a mebibyte."""
    home = ssh.run(["pwd"], folder=None, timeout=10).out.strip()
    ssh.stage(own_folder, texts={}, folders=[], inputs={})
    where = f"{home}/{own_folder}"
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", where]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("No disk can be mounted here.")
    yield own_folder
    subprocess.run(["umount", where], check=True)


def test_a_full_disk_at_the_other_end_is_unavailable_and_said(
    ssh: SshTransport, small_disk: str, tmp_path: Path
) -> None:
    # Given an input that does not fit
    (tmp_path / "big").write_bytes(os.urandom(3_000_000))
    with pytest.raises(BackendUnavailable, match=r"full|no room"):
        ssh.stage(small_disk, texts={}, folders=[], inputs={"big": tmp_path / "big"})

    # Then nothing of it takes up the little room
    assert ssh.run(["ls", "-A"], folder=small_disk, timeout=10).out == ""

    # When it fits
    (tmp_path / "big").write_bytes(os.urandom(300_000))
    ssh.stage(small_disk, texts={}, folders=[], inputs={"big": tmp_path / "big"})

    # Then it is there
    assert ssh.run(["ls", "-A"], folder=small_disk, timeout=10).out == "big\n"


@pytest.mark.parametrize("texts", [{f"{number}": "x" * 1000 for number in range(300)}, {"one": "x" * 500_000}])
def test_a_disk_that_is_too_full_for_small_files_is_unavailable_and_said(
    ssh: SshTransport, small_disk: str, texts: dict[str, str]
) -> None:
    ssh.run(["sh", "-c", "head -c 600000 /dev/zero >other"], folder=small_disk, timeout=10)
    with pytest.raises(BackendUnavailable, match=r"no room is left .*: (.*No space left|.*Wrote only)"):
        ssh.stage(small_disk, texts=texts, folders=[], inputs={})
    assert ssh.exchanges["stage"] == 2
    assert ssh.run(["ls", "-A"], folder=small_disk, timeout=10).out == "other\n"


def test_an_upload_that_fails_leaves_nothing(
    transport: Transport, own: str, shell: Callable[..., str], tmp_path: Path
) -> None:
    # Given a file that is gone once it was looked at, and one whose place is taken
    class Gone(type(tmp_path)):  # type: ignore[misc]
        def __fspath__(self) -> str:
            return str(tmp_path / "never there")

    (tmp_path / "big").write_bytes(os.urandom(300_000))
    (tmp_path / "gone").write_text("x")
    with pytest.raises(InvalidJob, match="cannot be read"):
        transport.stage(own, texts={}, folders=[], inputs={"a": tmp_path / "big", "b": Gone(tmp_path / "gone")})
    with pytest.raises(TransferFailed):
        transport.stage(own, texts={"taken": "x"}, folders=["taken"], inputs={"big": tmp_path / "big"})
    assert INCOMING not in shell("ls -A", folder=own).split()


def test_a_file_that_cannot_be_written_at_the_other_end_says_why(
    ssh: SshTransport, own_folder: str, tmp_path: Path
) -> None:
    ssh.stage(own_folder, texts={}, folders=["locked"], inputs={})
    ssh.run(["chmod", "a-w", "locked", "."], folder=own_folder, timeout=10)
    with pytest.raises(TransferFailed, match="Permission denied"):
        ssh.stage(own_folder, texts={"locked/x": "x"}, folders=[], inputs={})
    ssh.run(["chmod", "u+w", "locked", "."], folder=own_folder, timeout=10)


def test_small_files_are_read_in_one_exchange(transport: Transport, own: str, shell: Callable[..., str]) -> None:
    texts = {f"{number}/{name}": f"{number}{name}" for number in range(3) for name in ODD_NAMES}
    transport.stage(own, texts={**texts, "long": "x" * 1001, "just": "x" * 1000, "empty": ""}, folders=["f"], inputs={})
    shell("ln -s just link; mkfifo fifo", folder=own)
    before = transport.exchanges.copy()
    paths = [f"{own}/{name}" for name in [*texts, "long", "just", "empty", "absent", "f", "link", "fifo"]]
    read = transport.read(paths, limit=1000)
    assert read == {
        **{f"{own}/{name}": text.encode() for name, text in texts.items()},
        f"{own}/just": b"x" * 1000,
        f"{own}/empty": b"",
    }
    assert transport.exchanges - before == {"read": 1}


def test_five_thousand_files_are_read_in_one_exchange(
    transport: Transport, own: str, shell: Callable[..., str]
) -> None:
    script = 'i=0; while [ $i -lt 5000 ]; do echo $i >"file number $i"; i=$((i + 1)); done'
    transport.stage(own, texts={}, folders=[], inputs={})
    shell(script, folder=own)
    read = transport.read([f"{own}/file number {number}" for number in range(5000)], limit=10)
    assert read == {f"{own}/file number {number}": f"{number}\n".encode() for number in range(5000)}
    assert transport.exchanges["read"] == 1


def test_five_thousand_patterns_are_looked_for_in_one_exchange(transport: Transport, own: str) -> None:
    # Given few files for many patterns, the first and the last among them
    patterns = [f"simulation_{number:04}/logs/simulation_{number:04}.*.out" for number in range(5000)]
    names = {pattern.replace("*", "0"): f"text {place}" for place, pattern in enumerate(patterns) if not place % 4999}
    transport.stage(own, texts=names, folders=[], inputs={})

    found = transport.tails(own, patterns, 100)

    assert {name: tail.text for name, tail in found.items()} == names
    assert len(names) == 2
    assert transport.exchanges["tails"] == 1


def test_no_more_files_are_given_than_a_page_can_show_and_the_first_ones(
    transport: Transport, own: str, shell: Callable[..., str]
) -> None:
    transport.stage(own, texts={"dag.out": "dag"}, folders=["logs"], inputs={})
    shell("i=0; while [ $i -lt 700 ]; do echo $i >logs/$i; i=$((i + 1)); done", folder=own)
    found = transport.tails(own, ["dag.out", *(f"logs/{'x' * 100}{number}" for number in range(3000)), "logs/*"], 10)
    assert len(found) == TAILS_MAX
    assert next(iter(found)) == "dag.out"


def test_five_thousand_folders_are_removed_in_one_exchange(transport: Transport, workspace: Path) -> None:
    kept, *gone = (new_folder(transport, workspace) for _ in range(5001))
    for path in (kept, gone[0], gone[-1]):
        transport.stage(path, texts={"x": "x"}, folders=[], inputs={})
    transport.remove(gone)
    assert transport.exchanges["remove"] == 1
    assert set(transport.read([f"{path}/x" for path in (kept, gone[0], gone[-1])], limit=9)) == {f"{kept}/x"}
    transport.remove([kept])


def test_an_answer_that_is_cut_short_concerns_the_host_and_no_job(
    condor_pool: CondorPool, ssh: SshTransport, own_folder: str
) -> None:
    # Given a host where tar says this, and base64 that
    ssh.stage(own_folder, texts={"a": "a", "b": "b" * 3000}, folders=[], inputs={})
    said = ssh._command("read", [*READ, "10000"], own_folder, 10, b"./a\0./b\0")[1]
    with folder() as place:
        place.chmod(0o755)
        (place / "said").write_bytes(said)
        with sshd(condor_pool.user, f"SetEnv PATH={place}:/usr/local/bin:/usr/bin:/bin\n") as server:
            transport = server.transport()
            ask = {
                "tar": partial(transport.read, [f"{own_folder}/a", f"{own_folder}/b"], limit=9999),
                "base64": partial(transport.tails, own_folder, ["*"], 9999),
            }
            for program, script in {
                "tar": ["exit 2", "echo tar is broken >&2; exit 2", "cat; echo no archive"]
                + [f"head -c {cut} {place}/said" for cut in (0, 1, 511, 512, 1024, 1536, 4000, 5120)],
                "base64": ["printf A", "printf '\\0\\0'"],
            }.items():
                for each in script:
                    (place / program).write_text(f"#!/bin/sh\n{each}\n")
                    (place / program).chmod(0o755)
                    with pytest.raises(BackendUnavailable, match=r"cut short|tar is broken"):
                        ask[program]()
            transport.close()


def test_nothing_to_read_is_nothing(transport: Transport) -> None:
    assert transport.read([], limit=10) == {}


def test_the_ends_of_files_that_match_are_given_with_their_place(
    transport: Transport, own: str, shell: Callable[..., str]
) -> None:
    transport.stage(
        own,
        texts={
            "job/logs/a.out": "0123456789",
            "job/logs/b.out": "",
            "job/logs/it's $(x).err": "ü" * 5,
            "dag.out": "dag",
        },
        folders=["job/logs/c.out"],
        inputs={},
    )
    shell(
        "ln -s a.out job/logs/l.out; ln -s /etc/passwd job/logs/p.out; mkfifo job/logs/f.out; ln -s /etc e", folder=own
    )
    before = transport.exchanges.copy()
    found = transport.tails(
        own, ["job/logs/*.out", "job/l*/*.err", "dag.out", "dag.o*", "none*", "../*", "/etc/pass*"], 5
    )
    assert {name: (tail.data, tail.offset, tail.size) for name, tail in found.items()} == {
        "job/logs/a.out": (b"56789", 5, 10),
        "job/logs/b.out": (b"", 0, 0),
        "job/logs/it's $(x).err": ("ü".encode()[1:] + "üü".encode(), 5, 10),
        "dag.out": (b"dag", 0, 3),
    }
    assert found["job/logs/it's $(x).err"].text == "üü"
    assert transport.exchanges - before == {"tails": 1}


def test_a_folder_that_is_not_there_has_no_tails(transport: Transport, own: str) -> None:
    assert transport.tails(own, ["*"], 10) == {}


def test_patterns_run_nothing(transport: Transport, own: str, shell: Callable[..., str]) -> None:
    transport.stage(own, texts={"x": "x"}, folders=[], inputs={})
    transport.tails(
        own, ["$(touch broken-out)", "`touch broken-out`", "'; touch broken-out; '", "x\n; touch broken-out"], 5
    )
    assert shell("ls", folder=own) == "x\n"


def test_a_link_to_a_folder_is_not_looked_into_here(own_local: str) -> None:
    LocalTransport().stage(own_local, texts={}, folders=[], inputs={})
    Path(own_local, "etc").symlink_to("/etc")
    assert LocalTransport().tails(own_local, ["etc/passwd", "etc/pass*", "*/passwd"], 10) == {}
    assert LocalTransport().read([f"{own_local}/etc/passwd"], limit=100_000) == {}


def test_own_folders_are_removed_with_all_in_them_and_links_stay_unfollowed(
    transport: Transport, workspace: Path, shell: Callable[..., str]
) -> None:
    kept, gone, absent = (new_folder(transport, workspace) for _ in range(3))
    transport.stage(kept, texts={"kept": "kept"}, folders=[], inputs={})
    transport.stage(gone, texts={"a/b": "b"}, folders=["locked/inner"], inputs={})
    shell('ln -s "$1" link; chmod 0 locked/inner locked', os.path.abspath(kept), folder=gone)
    before = transport.exchanges.copy()
    transport.remove([gone, absent])
    assert transport.exchanges - before == {"remove": 1}
    assert transport.read([f"{kept}/kept"], limit=10) == {f"{kept}/kept": b"kept"}
    assert shell('test -e "$1" || echo gone', gone) == "gone\n"
    transport.remove([kept])


def test_a_folder_that_is_locked_itself_is_removed(
    transport: Transport, workspace: Path, shell: Callable[..., str]
) -> None:
    gone = new_folder(transport, workspace)
    transport.stage(gone, texts={"a/b": "b"}, folders=[], inputs={})
    shell("chmod 555 a; chmod 000 .", folder=gone)
    transport.remove([gone])
    assert shell('test -e "$1" || echo gone', gone) == "gone\n"


def test_an_own_folder_that_became_a_link_is_removed_and_its_target_stays(
    transport: Transport, workspace: Path, shell: Callable[..., str]
) -> None:
    victim, link = new_folder(transport, workspace), new_folder(transport, workspace)
    transport.stage(victim, texts={"mine": "mine"}, folders=[], inputs={})
    shell('ln -s "$(cd "$1" && pwd)" "$2"', victim, link)
    transport.remove([link])
    assert shell('test -L "$1" || echo gone', link) == "gone\n"
    assert transport.read([f"{victim}/mine"], limit=10) == {f"{victim}/mine": b"mine"}
    transport.remove([victim])


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "/",
        "jobsapi",
        "jobsapi/",
        f"jobsapi/{PORTAL}",
        f"jobsapi/{PORTAL}/",
        f"jobsapi/{PORTAL}/..",
        "jobsapi/../0123456789abcdef0123456789abcdef",
        f"jobsapi/{PORTAL}/0123456789abcdef0123456789abcdef/sub",
        f"jobsapi/{PORTAL}/0123456789abcdef0123456789abcdef/../..",
        f"jobsapi/{PORTAL}/*",
        f"/jobsapi/{PORTAL}/0123456789abcdef0123456789abcdef",
        f"jobsapi/{PORTAL}/0123456789abcdef0123456789abcdef\n",
        "-rf",
        "/home",
    ],
)
def test_what_is_no_own_folder_is_not_removed_over_ssh(ssh: SshTransport, path: str) -> None:
    with pytest.raises(InvalidJob, match="is not the folder of a job"):
        ssh.remove([path])
    assert ssh.exchanges == {}


def test_what_is_no_own_folder_is_not_removed_here(workspace: Path, tmp_path: Path) -> None:
    root = workspace.parent.parent
    (tmp_path / "outside-1").mkdir()
    (workspace / "to-outside").symlink_to(tmp_path)
    for path in (
        "",
        "/",
        "relative-1",
        str(root),
        str(root / "folder-1"),
        str(tmp_path / "outside-1"),
        str(workspace / "results"),
        f"{workspace}/../../../outside-1",
        f"{workspace}/to-outside/outside-1",
        f"{workspace}/..",
    ):
        with pytest.raises(InvalidJob, match="is not removed"):
            LocalTransport().remove([path])
    assert (tmp_path / "outside-1").is_dir()


def test_nothing_is_removed_when_one_of_them_is_no_own_folder(transport: Transport, own: str) -> None:
    transport.stage(own, texts={"x": "x"}, folders=[], inputs={})
    with pytest.raises(InvalidJob):
        transport.remove([own, "/"])
    assert transport.read([f"{own}/x"], limit=10) == {f"{own}/x": b"x"}


@pytest.mark.parametrize("portal", ["", ".", "..", "a/b", "../..", "with space", "$(x)", "ü\n", "a" * 60])
def test_a_portal_of_any_name_has_one_folder_below_ours(ssh: SshTransport, portal: str) -> None:
    number = uuid.uuid4()
    path = ssh.folder_of("/workspace", "job-1", str(number), portal)
    first, name, last = path.split("/")
    assert (first, last) == ("jobsapi", number.hex)
    assert name.isascii()
    assert name not in ("", ".", "..")
    ssh.stage(path, texts={"x": "x"}, folders=[], inputs={})
    ssh.remove([path])


def test_folders_of_different_jobs_are_staged_by_threads_over_one_connection(
    server: Sshd, workspace: Path, inputs: Path, tmp_path: Path
) -> None:
    ssh = server.transport(timeout="60")  # a session that is slow on a busy machine is no sign of a cut

    def there_and_back(number: int) -> bool:
        folder, home = new_folder(ssh, workspace), tmp_path / f"home-{number}"
        ssh.stage(folder, texts={"n": str(number)}, folders=[], inputs={"all": inputs})
        ssh.bring(folder, home)
        ssh.remove([folder])
        return contents(home / "all") == contents(inputs) and (home / "n").read_text() == str(number)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(there_and_back, range(8)))
    assert ssh.exchanges["connect"] == 1
    ssh.close()


@pytest.fixture
def own_local(workspace: Path) -> str:
    """As ``own``, always here."""
    return new_folder(LocalTransport(), workspace)


@pytest.fixture
def hostile_find(
    condor_pool: CondorPool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], SshTransport]]:
    """A transport to a host where ``find`` prints what the test says."""
    with folder() as place:
        place.chmod(0o755)
        with sshd(condor_pool.user, f"SetEnv PATH={place}:/usr/local/bin:/usr/bin:/bin\n") as server:

            def lie(listed: str) -> SshTransport:
                program = place / "find"
                program.write_text(f"#!/bin/sh\nprintf '{listed}'\n")
                program.chmod(0o755)
                return server.transport()

            yield lie
