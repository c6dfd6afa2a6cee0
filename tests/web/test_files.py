"""The files that a job works with: listed by folder and downloaded, and no path leads anywhere else."""

from __future__ import annotations

import html
import io
import os
import re
import tracemalloc
import zipfile

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from jobsapi.exceptions import OutputNotAllowed
from jobsapi.htcondor.names import REPORT_FILE
from jobsapi.models import outputs
from jobsapi.status import Status
from jobsapi.web.job import archive, files

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


def download_all(client, job, folder="", method="get"):
    return getattr(client, method)(reverse("jobsapi:job-files-all", args=[job.pk]), {"folder": folder})


def unpacked(answer):
    """What is in a zip: bytes by name. Every checksum is looked at."""
    with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as found:
        assert found.testzip() is None
        return {name: found.read(name) for name in found.namelist()}


def test_a_folder_is_downloaded_as_one_zip_with_those_in_it(browser, flood):
    (flood.folder / "deep").mkdir()
    (flood.folder / "deep" / "Rhône.txt").write_text("deep")
    (flood.folder / "run.sh").write_text("#!/bin/sh")
    top, name = page(browser, flood), f"flood-{flood.pk}"

    whole = browser.get(link(top, "Download all"))
    inner = browser.get(link(page(browser, flood, "out"), "Download all"))

    assert "3 files, 17\xa0bytes, as a zip" in top
    assert whole["Content-Type"] == "application/zip"
    assert whole["Content-Disposition"] == f'attachment; filename="{name}.zip"'
    assert whole["Content-Security-Policy"].startswith("sandbox")
    assert whole["X-Content-Type-Options"] == "nosniff"
    assert unpacked(whole) == {
        f"{name}/out/deep/": b"",
        f"{name}/deep/Rhône.txt": b"deep",
        f"{name}/out/report.csv": b"a,b\n",
        f"{name}/run.sh": b"#!/bin/sh",
    }
    assert inner["Content-Disposition"] == f'attachment; filename="{name}-out.zip"'
    assert unpacked(inner) == {f"{name}-out/deep/": b"", f"{name}-out/report.csv": b"a,b\n"}


def test_a_zip_has_neither_our_own_files_nor_what_a_link_leads_to_and_says_what_is_left_out(browser, flood, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    (flood.folder / "out" / "there").symlink_to(tmp_path / "secret")
    (flood.folder / "out" / "file").symlink_to(tmp_path / "secret" / "file")
    (flood.folder / "out" / REPORT_FILE).write_text("token")
    os.mkfifo(flood.folder / "out" / "pipe")
    (flood.folder / "out" / os.fsdecode(b"\xff.txt")).write_text("odd")

    text, found = page(browser, flood), unpacked(download_all(browser, flood))

    assert "4 left out" in text
    told = found.pop("left_out.txt").decode()
    assert set(found) == {f"flood-{flood.pk}/out/deep/", f"flood-{flood.pk}/out/report.csv"}
    assert set(told.splitlines()[1:]) == {
        "out/: 1 with names that are no text (UTF-8)",
        "out/file: a link, which is not followed",
        "out/pipe: no plain file",
        "out/there: a link, which is not followed",
    }


def test_a_file_that_cannot_be_read_is_left_out_in_words(browser, flood, monkeypatch):
    def refused(workspace, parts):
        if parts[-1] == "locked.txt":
            raise PermissionError(13, "Permission denied")
        return outputs.open_file(workspace, parts)

    (flood.folder / "locked.txt").write_text("locked")
    monkeypatch.setattr(archive, "open_file", refused)  # whoever runs the tests may read all

    found = unpacked(download_all(browser, flood))

    assert b"locked.txt: it cannot be read" in found["left_out.txt"]
    assert f"flood-{flood.pk}/out/report.csv" in found


def test_names_in_a_zip_lead_nowhere_else_on_any_system(browser, flood):
    for name in ("..\\..\\evil.txt", ".._.._evil.txt", "C:evil.txt", "two\nlines.txt"):
        (flood.folder / "out" / name).write_text(name)

    found = unpacked(download_all(browser, flood, "out"))

    assert not any(set(name) & set("\\:\n") for name in found)
    assert sorted(found.values()) == sorted(
        [b"", b"a,b\n", b"..\\..\\evil.txt", b".._.._evil.txt", b"C:evil.txt", b"two\nlines.txt"]
    )


def test_more_files_than_a_zip_takes_are_refused_in_words_beforehand(browser, flood, monkeypatch):
    monkeypatch.setattr(archive, "MOST_FILES", 10)
    for number in range(11):
        (flood.folder / "out" / "deep" / f"{number}.txt").touch()

    text, refused = page(browser, flood), download_all(browser, flood)

    assert "Download all" not in text
    assert listed(text) == ["out/"]
    assert "more than 10 files and folders" in text
    assert refused.status_code == 409
    assert "more than 10 files and folders" in refused.content.decode()


def test_folders_without_end_are_left_out(browser, flood, monkeypatch):
    monkeypatch.setattr(archive, "DEEPEST", 2)
    (flood.folder / "out" / "deep" / "file.txt").touch()

    found = unpacked(download_all(browser, flood))

    assert found.pop("left_out.txt").endswith(b"out/deep: too many folders in each other\n")
    assert set(found) == {f"flood-{flood.pk}/out/report.csv"}


def test_where_there_are_no_files_nothing_is_offered(browser, flood):
    (flood.folder / "out" / "report.csv").unlink()
    assert "Download all" not in page(browser, flood)
    assert download_all(browser, flood).status_code == 404
    assert download_all(browser, flood, "nowhere").status_code == 404


@pytest.mark.parametrize("path", ["..", "out/../..", "/etc", "\x00", ".", "a/" * 3000, "x" * 300])
def test_no_path_of_a_browsers_leads_a_zip_out(browser, flood, path):
    (flood.folder.parent / "secret").write_text("secret")
    assert download_all(browser, flood, path).status_code == 404


def test_a_zip_of_files_that_are_elsewhere_or_not_its_own_is_not_there(browser, flood, change):
    change(flood, _status=Status.RUNNING, completion_time=None, backend_state={"remote": "/home/ada/x"})
    assert "Download all" not in page(browser, flood)
    assert download_all(browser, flood).status_code == 404
    change(flood, backend_state={})
    assert "Download all" in page(browser, flood)
    (flood.folder / flood.MARK).write_text("somebody else's")
    assert download_all(browser, flood).status_code == 404


def test_a_zip_is_for_those_who_may_see_the_files(client, flood, mean, viewer, bob):
    client.force_login(viewer(flood))
    assert unpacked(download_all(client, flood))[f"flood-{flood.pk}/out/report.csv"] == b"a,b\n"
    mean.share(bob.groups.get(), "manage")
    assert download_all(client, mean).status_code == 404
    bob.groups.clear()
    assert download_all(client, flood).status_code == 404


def torn(answer):
    """What has arrived of a download that was cut."""
    received = []
    with pytest.raises(archive.Torn):
        received.extend(answer.streaming_content)
    answer.close()
    return b"".join(received)


@pytest.mark.parametrize("what", ["vanishes", "shrinks", "is written anew", "is of another run"])
def test_what_is_not_the_folder_any_more_makes_no_zip_that_opens(browser, flood, what):
    (flood.folder / "a.bin").write_bytes(os.urandom(2**20))  # first, and in pieces
    last = flood.folder / "z.bin"
    last.write_bytes(os.urandom(2**20))
    answer = download_all(browser, flood)
    arrived = next(iter(answer.streaming_content))

    if what == "vanishes":
        last.unlink()
    elif what == "shrinks":
        os.truncate(flood.folder / "a.bin", 2**19)
    elif what == "is written anew":
        os.utime(flood.folder / "a.bin", ns=(1, 1))
    else:
        (flood.folder / flood.MARK).write_text(f"{flood.uid.hex} {'0' * 32}\n")

    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(arrived + torn(answer)))


def test_a_log_that_grows_meanwhile_is_there_as_it_was_and_that_is_said(browser, flood):
    log = flood.folder / "b.log"
    log.write_bytes(content := os.urandom(2**20))
    answer = download_all(browser, flood)
    pieces = iter(answer.streaming_content)
    arrived = next(pieces)
    with log.open("ab") as end:
        end.write(b"more")
    with zipfile.ZipFile(io.BytesIO(arrived + b"".join(pieces))) as found:
        assert found.read(f"flood-{flood.pk}/b.log") == content
        assert b"b.log: written to meanwhile; its first 1,048,576 bytes are here" in found.read("left_out.txt")


def test_a_large_zip_is_never_in_memory_as_a_whole(browser, flood):
    (flood.folder / "large.bin").write_bytes(os.urandom(30_000_000))
    answer = download_all(browser, flood)

    tracemalloc.start()
    largest = max(map(len, answer.streaming_content))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert largest < 2**20
    assert most < 8_000_000


def test_a_server_that_is_asynchronous_sends_a_zip_piece_by_piece_too(received_async, flood):
    (flood.folder / "large.bin").write_bytes(content := os.urandom(3_000_000))

    received = received_async(reverse("jobsapi:job-files-all", args=[flood.pk]))

    assert max(map(len, received)) < 2**20
    with zipfile.ZipFile(io.BytesIO(b"".join(received))) as found:
        assert found.read(f"flood-{flood.pk}/large.bin") == content


def test_asking_for_the_head_of_a_zip_reads_no_file(browser, flood, monkeypatch):
    monkeypatch.setattr(archive, "open_file", lambda *_: pytest.fail("it was opened"))
    answer = download_all(browser, flood, method="head")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    assert answer.getvalue() == b""


def test_a_zip_that_nobody_takes_to_its_end_leaves_no_file_open(browser, flood):
    (flood.folder / "large.bin").write_bytes(os.urandom(3_000_000))
    answer = download_all(browser, flood)
    next(iter(answer.streaming_content))
    assert any("large.bin" in path for path in open_files())
    answer.close()
    assert not any("large.bin" in path for path in open_files())


def open_files() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:  # the one that has listed them
            continue
    return found


def test_a_job_that_was_never_submitted_has_no_files_and_no_results_and_says_so(browser, condor_row):
    job = condor_row("lost", Status.ERROR, native_id="", status_message="An administrator gave the scheduler up.")
    assert "it was never submitted" in page(browser, job)
    text = browser.get(reverse("jobsapi:job-result", args=[job.pk])).content.decode()
    assert "HTCondor never had the job" in text
    assert "see Files" not in text
