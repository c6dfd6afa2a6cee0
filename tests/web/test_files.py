"""The files that a job works with: listed by folder and downloaded, and no path leads anywhere else."""

from __future__ import annotations

import html
import os
import re

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from jobsapi.exceptions import OutputNotAllowed
from jobsapi.models import outputs
from jobsapi.status import Status
from jobsapi.web.job import files

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def flood(condor_row):
    """A job of HTCondor that ran on this machine, with a folder of its own."""
    job = condor_row("flood", Status.COMPLETE)
    (job.folder / "out" / "deep").mkdir(parents=True)
    (job.folder / job.MARK).write_text(job.folder_mark)
    (job.folder / "out" / "report.csv").write_text("a,b\n")
    return job


@pytest.fixture
def mean(row, settings, tmp_path):
    """A job of Dask with a workspace, which has files of other jobs in it."""
    settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": tmp_path}
    job = row("mean", workspace="ada")
    (job.ensure_workspace() / "other.txt").write_text("of another job")
    return job


@pytest.fixture
def viewer(bob):
    """Let a group of bob's see a job, or manage it."""
    group = Group.objects.create(name="hydrology")
    bob.groups.add(group)

    def share(job, right="view"):
        job.share(group, right)
        return bob

    return share


def page(client, job, folder="", **query):
    found = client.get(reverse("jobsapi:job-files", args=[job.pk]), {"folder": folder, **query})
    assert found.status_code == 200
    return found.content.decode()


def listed(text) -> list[str]:
    rows = re.findall(r'<th scope="row">(.*?)</th>', text, re.S)
    return [html.unescape(re.sub(r"<[^>]*>", "", row)).strip() for row in rows]


def link(text, name) -> str:
    (found,) = (
        href for href, words in re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', text) if html.unescape(words) == name
    )
    return html.unescape(found)


def download(client, job, path):
    return client.get(reverse("jobsapi:job-file", args=[job.pk]), {"path": path})


def test_a_job_shows_its_own_folder_and_those_in_it(browser, flood):
    top = page(browser, flood)
    inner = browser.get(link(top, "out/")).content.decode()
    got = browser.get(link(inner, "report.csv"))

    assert listed(top) == ["out/"]
    assert listed(inner) == ["deep/", "report.csv"]
    assert got.getvalue() == b"a,b\n"
    assert got["Content-Type"] == "application/octet-stream"
    assert got["Content-Disposition"] == 'attachment; filename="report.csv"'
    assert got["Content-Security-Policy"].startswith("sandbox")


def test_folders_come_first_and_a_large_folder_is_listed_page_by_page(browser, flood, monkeypatch):
    monkeypatch.setattr(files, "PAGE", 10)
    for number in range(25):
        (flood.folder / "out" / f"{number:02}.txt").touch()

    first = page(browser, flood, "out")
    second = browser.get(link(first, "More →")).content.decode()
    third = browser.get(link(second, "More →")).content.decode()

    assert listed(first)[0] == "deep/"
    assert listed(first) + listed(second) + listed(third) == [
        "deep/",
        *(f"{number:02}.txt" for number in range(25)),
        "report.csv",
    ]
    assert "More →" not in third


def test_a_folder_without_end_is_not_read_to_its_end(flood, monkeypatch):
    monkeypatch.setattr(outputs, "MOST_ENTRIES", 20)
    for number in range(50):
        (flood.folder / "out" / f"{number:02}.txt").touch()

    found = outputs.list_folder(flood.workspace, [flood.folder.name, "out"])

    assert found.is_cut
    assert len(found.entries) <= 21


@pytest.mark.parametrize("name", ["<b>bold.txt", "two\nlines.txt", "quo\"te's & co.txt", "Rhône 100%.txt", " "])
def test_odd_names_are_shown_and_downloaded(browser, flood, name):
    (flood.folder / "out" / name).write_text("odd")
    text = page(browser, flood, "out")

    (address,) = (
        html.unescape(found) for found in re.findall(r'<a href="([^"]*)" download>', text) if "report" not in found
    )
    got = browser.get(address)

    assert "<b>" not in text
    assert got.getvalue() == b"odd"
    assert got["Content-Disposition"].startswith("attachment")
    assert "\n" not in got["Content-Disposition"]


def test_names_that_are_no_text_are_left_out_in_words(browser, flood):
    (flood.folder / "out" / os.fsdecode(b"\xff.txt")).write_text("odd")
    text = page(browser, flood, "out")
    assert listed(text) == ["deep/", "report.csv"]
    assert "1 entry is not shown" in text


def test_no_link_is_followed(browser, flood, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    (flood.folder / "out" / "there").symlink_to(tmp_path / "secret")
    (flood.folder / "out" / "file").symlink_to(tmp_path / "secret" / "file")

    text = page(browser, flood, "out")

    assert "a link, which is not followed" in text
    assert "there</a>" not in text
    assert "The folder cannot be shown" in page(browser, flood, "out/there")
    assert download(browser, flood, "out/there/file").status_code == 404
    assert download(browser, flood, "out/file").status_code == 404


def test_a_folder_whose_place_a_link_has_taken_is_refused(browser, flood, tmp_path):
    flood.folder.rename(tmp_path / "moved")
    flood.folder.symlink_to(tmp_path / "moved")
    assert listed(page(browser, flood)) == []
    assert download(browser, flood, "out/report.csv").status_code == 404


def test_a_pipe_holds_nobody_up(browser, flood):
    os.mkfifo(flood.folder / "out" / "pipe")
    assert "no plain file" in page(browser, flood, "out")
    assert download(browser, flood, "out/pipe").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["..", "out/../..", "../../../etc/passwd", "out/..", "\x00", "nowhere", ".", "out/./x", "a/" * 3000, "x" * 300],
)
def test_no_path_of_a_browsers_leads_out(browser, flood, path):
    (flood.folder.parent / "secret").write_text("secret")
    answer = browser.get(reverse("jobsapi:job-files", args=[flood.pk]), {"folder": path})
    assert answer.status_code == 404 or "cannot be shown" in answer.content.decode()
    assert "secret" not in answer.content.decode()
    assert download(browser, flood, path).status_code == 404
    assert download(browser, flood, f"{path}/secret").status_code == 404


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "\x00", "\udcff", "x" * 300])
def test_each_step_of_a_path_is_a_name(flood, part):
    with pytest.raises(OutputNotAllowed):
        outputs.list_folder(flood.workspace, [flood.folder.name, part])


def test_an_absolute_path_begins_at_the_jobs_folder(browser, flood):
    assert browser.get(reverse("jobsapi:job-files", args=[flood.pk]), {"folder": "/etc"}).status_code == 404
    assert download(browser, flood, "/etc/passwd").status_code == 404


def test_our_own_mark_is_not_listed(browser, flood):
    assert flood.MARK not in page(browser, flood)


def test_a_folder_that_only_has_the_jobs_name_is_not_shown(browser, flood):
    (flood.folder / flood.MARK).write_text("somebody else's")
    text = page(browser, flood)
    assert listed(text) == []
    assert "is not of its making" in text
    assert download(browser, flood, "out/report.csv").status_code == 404


def test_before_it_is_submitted_it_says_that_there_are_none(browser, condor_row):
    assert "The job has no files yet" in page(browser, condor_row("new", Status.PENDING))


def test_files_at_a_submit_host_are_said_to_be_there(browser, flood, change):
    change(flood, _status=Status.RUNNING, completion_time=None, backend_state={"remote": "/home/ada/x"})
    text = page(browser, flood)
    assert "lie at the submit host" in text
    assert listed(text) == []


def test_a_workspace_of_several_jobs_is_shown_to_its_owner_alone(browser, client, mean, viewer, bob):
    assert listed(page(browser, mean)) == ["other.txt"]
    assert "other jobs lie here, too" in page(browser, mean)

    for right in ("view", "manage"):
        client.force_login(viewer(mean, right))
        assert client.get(reverse("jobsapi:job", args=[mean.pk])).status_code == 200
        assert client.get(reverse("jobsapi:job-files", args=[mean.pk])).status_code == 404
        assert download(client, mean, "other.txt").status_code == 404
    bob.is_staff = True
    bob.save()
    assert listed(page(client, mean)) == ["other.txt"]


def test_a_folder_of_the_jobs_own_is_shown_to_whom_it_is_shared_with(client, flood, viewer):
    client.force_login(viewer(flood))
    assert listed(page(client, flood, "out")) == ["deep/", "report.csv"]
    assert download(client, flood, "out/report.csv").getvalue() == b"a,b\n"


def test_the_files_of_others_are_not_there(client, flood, bob):
    client.force_login(bob)
    assert client.get(reverse("jobsapi:job-files", args=[flood.pk])).status_code == 404
    assert download(client, flood, "out/report.csv").status_code == 404


def test_a_large_file_is_sent_piece_by_piece(browser, flood):
    os.truncate(flood.folder / "out" / "report.csv", 2**30)
    answer = download(browser, flood, "out/report.csv")
    assert int(answer["Content-Length"]) == 2**30
    assert len(next(iter(answer.streaming_content))) < 2**20
    answer.close()
