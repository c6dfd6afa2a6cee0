"""Named outputs: files of a job's workspace, and of nothing else."""

from __future__ import annotations

import os
import shutil

import pytest

from jobsapi.exceptions import InvalidJob, OutputNotAllowed
from jobsapi.models import Job


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
