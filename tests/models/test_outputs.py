"""Named outputs: files of a job's workspace, and of nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

import pytest

from jobsapi.exceptions import InvalidJob, OutputNotAllowed
from jobsapi.models import Job
from jobsapi.models.outputs import list_folder, remove_folder
from tests.rig import services


@pytest.fixture
def workspaces(settings, tmp_path):
    """Where workspaces lie, with something beside it that is nobody's business."""
    (tmp_path / "secret").write_text("secret")
    settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": tmp_path / "workspaces"}
    return tmp_path / "workspaces"


@pytest.fixture
def job(make_job, workspaces):
    """A saved job with one output, and its workspace."""
    job = make_job(workspace="ada", outputs={"report": "out/report.txt"})
    job.save()
    (job.ensure_workspace() / "out").mkdir()
    return Job.objects.get(pk=job.pk)


@pytest.fixture
def folder(job):
    return job.ensure_workspace() / "out"


def test_an_output_is_offered_when_its_file_is_there(job, folder):
    (before,) = job.find_outputs()
    (folder / "report.txt").write_text("all is well")
    (after,) = job.find_outputs()

    assert (before.name, before.path, before.size) == ("report", "out/report.txt", None)
    assert (after.size, after.problem) == (11, "")
    with job.open_output("report") as file:
        assert file.read() == b"all is well"


@pytest.fixture
def far_future(settings):
    """A root of workspaces whose file system keeps times that no calendar has, as tmpfs does."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": root}
        yield


def test_a_file_whose_time_no_calendar_has_is_offered_without_it(far_future, make_job):
    job = make_job(workspace="ada", outputs={"report": "report.txt"})
    report = job.ensure_workspace() / "report.txt"
    report.write_text("all is well")
    os.utime(report, (2**42, 2**42))

    (output,) = job.find_outputs()
    (entry,) = list_folder(job.workspace, []).entries

    assert (output.size, output.modified, output.problem) == (11, None, "")
    assert (entry.name, entry.size, entry.modified) == ("report.txt", 11, None)


def test_what_is_not_there_yet_is_said(job):
    with pytest.raises(FileNotFoundError):
        job.open_output("report")
    with pytest.raises(KeyError):
        job.open_output("out/report.txt")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../secret", "out/../../secret", "..", "", ".", "a\nb", "x" * 2000, 7, None]
)
def test_a_path_that_leaves_the_workspace_or_is_none_is_refused_at_the_door(make_job, workspaces, path):
    with pytest.raises(InvalidJob, match="“report” must"):
        make_job(outputs={"report": path})
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "x" * 101])
def test_a_name_that_no_address_can_have_is_refused_at_the_door(make_job, workspaces, name):
    with pytest.raises(InvalidJob, match="no name for an output"):
        make_job(outputs={name: "a"})


@pytest.mark.parametrize("outputs", [["a"], "a", {str(n): "a" for n in range(101)}])
def test_what_is_no_dict_of_a_few_is_refused_at_the_door(make_job, workspaces, outputs):
    with pytest.raises(InvalidJob, match="outputs must be a dict"):
        make_job(outputs=outputs)


def test_a_job_without_outputs_says_nothing_of_them(make_job, workspaces):
    job = make_job()
    job.save()

    assert job.find_outputs() == []
    assert Job.objects.get(pk=job.pk).spec == {}


def leave_by_file(folder, workspaces):
    (folder / "report.txt").symlink_to(workspaces.parent / "secret")


def leave_by_folder(folder, workspaces):
    folder.rmdir()
    folder.symlink_to(workspaces.parent)
    (workspaces.parent / "report.txt").write_text("secret")


def stay_by_link(folder, workspaces):
    (folder / "other.txt").write_text("fine")
    (folder / "report.txt").symlink_to("other.txt")


def pipe(folder, workspaces):
    os.mkfifo(folder / "report.txt")


def directory(folder, workspaces):
    (folder / "report.txt").mkdir()


def loop(folder, workspaces):
    (folder / "report.txt").symlink_to("report.txt")


@pytest.mark.parametrize("make", [leave_by_file, leave_by_folder, stay_by_link, pipe, directory, loop])
def test_links_pipes_and_folders_are_not_served(job, folder, workspaces, make):
    make(folder, workspaces)

    with pytest.raises(OutputNotAllowed, match="not served"):
        job.open_output("report")
    (output,) = job.find_outputs()
    assert (output.size, "not served" in output.problem) == (None, True)


@pytest.mark.parametrize("level", ["app", "app/ada", "app/ada/run"])
def test_no_folder_of_the_workspace_may_become_a_link(make_job, workspaces, level):
    job = make_job(workspace="app/ada/run", outputs={"report": "report.txt"})
    job.save()
    job.ensure_workspace()
    other = workspaces / "app2" / "bob"
    for folder in (other, other / "run", other / "ada" / "run"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.txt").write_text("of somebody else")
    shutil.rmtree(workspaces / level)
    (workspaces / level).symlink_to(other)

    with pytest.raises(OutputNotAllowed, match="symbolic link"):
        Job.objects.get(pk=job.pk).open_output("report")


def test_a_workspace_that_was_written_past_the_door_is_refused_when_it_is_opened(job):
    for outside in ("/etc", "../x", "a/../../x"):
        Job.objects.filter(pk=job.pk).update(workspace=outside)
        with pytest.raises(OutputNotAllowed):
            Job.objects.get(pk=job.pk).open_output("report")


def test_a_path_that_was_written_past_the_door_is_refused_when_it_is_opened(job):
    Job.objects.filter(pk=job.pk).update(spec={"outputs": {"report": "../../secret"}})

    with pytest.raises(InvalidJob, match="must stay in the workspace"):
        Job.objects.get(pk=job.pk).open_output("report")


class TestRemoval:
    """Of folders, by an account that may not do everything."""

    @pytest.fixture
    def workspace(self, settings):
        with services.folder() as root:
            root.chmod(0o777)
            settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": root}
            with without_privileges():
                (root / "ada" / "run-1").mkdir(parents=True)
                (root / "ada" / "run-10").mkdir()
                yield root / "ada"

    def names(self, workspace):
        return sorted(os.listdir(workspace))

    @pytest.mark.parametrize("mode", [0o555, 0o300, 0o000])
    def test_what_a_job_has_locked_goes_with_its_folder(self, workspace, mode):
        locked = workspace / "run-1" / "a" / "locked"
        (locked / "inner").mkdir(parents=True)
        (locked / "inner" / "file").write_text("")
        for folder in (locked / "inner", locked, workspace / "run-1"):
            folder.chmod(mode)

        remove_folder("ada", "run-1")

        assert self.names(workspace) == ["run-10"]

    def test_what_links_lead_to_stays_as_it_is(self, workspace):
        kept = workspace / "run-10"
        kept.chmod(0o555)
        (workspace / "run-1" / "locked").mkdir()
        (workspace / "run-1" / "locked" / "link").symlink_to(kept)
        (workspace / "run-1" / "link").symlink_to(kept)
        (workspace / "run-1" / "locked").chmod(0o555)

        remove_folder("ada", "run-1")

        assert self.names(workspace) == ["run-10"]
        assert kept.stat().st_mode & 0o777 == 0o555

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another account cannot remove")
    def test_a_removal_that_fails_leaves_nothing_under_the_name_and_the_next_call_ends_it(self, workspace):
        # Given a folder with something in it that belongs to somebody else
        (workspace / "run-1" / ".jobsapi").write_text("mark")
        foreign = workspace / "run-1" / "foreign"
        foreign.mkdir()
        (foreign / "file").write_text("")
        owned_by_root(foreign)

        # When it is to be removed
        with pytest.raises(PermissionError):
            remove_folder("ada", "run-1")

        # Then nobody finds half a folder under its name
        left, other = self.names(workspace)
        assert left.startswith(".run-1-")
        assert other == "run-10"

        # And another folder of that name goes, whatever became of the first, which goes when it can
        (workspace / "run-1").mkdir()
        with pytest.raises(PermissionError):
            remove_folder("ada", "run-1")
        assert self.names(workspace) == [left, "run-10"]
        owned_by_root(workspace / left / "foreign", us=True)
        remove_folder("ada", "run-1")
        assert self.names(workspace) == ["run-10"]

    def test_left_overs_of_other_folders_stay(self, workspace):
        others = [f".run-10-{'a' * 32}", f".run-1-{'a' * 31}", f".run-1-2-{'a' * 32}", f"run-1-{'a' * 32}"]
        for name in others:
            (workspace / name).mkdir()

        remove_folder("ada", "run-1")
        remove_folder("ada", "run-1")

        assert self.names(workspace) == sorted([*others, "run-10"])

    def test_an_absent_folder_is_fine_and_so_is_an_absent_workspace(self, workspace):
        remove_folder("ada", "never")
        remove_folder("bob", "never")

    def test_a_link_or_a_file_in_the_place_of_the_folder_stays(self, workspace):
        (workspace / "link").symlink_to("run-10")
        (workspace / "file").write_text("")

        for name in ("link", "file"):
            with pytest.raises(OutputNotAllowed, match="symbolic link"):
                remove_folder("ada", name)

        assert self.names(workspace) == ["file", "link", "run-1", "run-10"]


NOBODY = 65534


@contextlib.contextmanager
def without_privileges():
    """Root may do everything; what a portal under an account of its own may do is to be seen."""
    us = os.geteuid()
    if us == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(us)


def owned_by_root(folder, *, us=False):
    """Give a folder to root, or back."""
    os.seteuid(0)
    os.chown(folder, NOBODY if us else 0, -1)
    os.seteuid(NOBODY)
