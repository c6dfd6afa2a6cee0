"""The page of a result, and downloads: whole, streamed, and never as anything that a browser would run."""

from __future__ import annotations

import base64
import hashlib
import io
import pickle
import tracemalloc

import numpy
import pytest
from django.core.files.storage import FileSystemStorage
from django.urls import reverse

from jobsapi import results
from jobsapi.backends.basic import BasicBackend
from jobsapi.models import Job, JobBlob, Purpose
from jobsapi.status import Status
from jobsapi.web.job.plots import drawn

LARGE = numpy.arange(300_000.0)


@pytest.fixture
def done(row):
    """A job that has ended with this result."""

    def make(value, **columns):
        job = row("Flood: <Rhine>", Status.COMPLETE, **columns)
        for each in results.whole(job, BasicBackend(None), value):
            each.keep()
        return job

    return make


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


def page(browser, job):
    return browser.get(reverse("jobsapi:job-result", args=[job.pk])).content.decode()


def download(browser, job, **extra):
    return browser.get(reverse("jobsapi:job-result-download", args=[job.pk]), **extra)


def test_the_page_shows_an_array_by_shape_plot_and_file(browser, done):
    text = page(browser, done(LARGE))

    assert "ndarray of shape 300000, float64" in text
    assert "<polyline points=" in text
    assert "result.npy" in text
    assert hashlib.sha256(download(browser, Job.objects.get()).getvalue()).hexdigest() in text


def test_the_page_shows_a_picture_of_two_dimensions_and_a_table_of_parts(browser, done):
    assert page(browser, done(numpy.eye(4))).count("<rect ") == 16
    assert "<td>depth</td><td>2.5</td>" in page(browser, done({"depth": 2.5}))


def test_nothing_of_a_result_becomes_markup(browser, done):
    text = page(browser, done({"<script>alert(1)</script>": "<img src=x onerror=alert(2)>"}))

    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(2)&gt;" in text


def test_a_page_opens_no_pickle(browser, done):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("it was opened",)

    job = done("harmless")
    JobBlob.store(job, Purpose.RESULT, pickle.dumps([1]).replace(b"K\x01", b"cos\nnone\n"))

    assert "harmless" in page(browser, job)
    assert download(browser, job).getvalue() == b"harmless"


def test_a_download_is_an_attachment_that_no_browser_runs(browser, done):
    answer = download(browser, done("<script>alert(1)</script>"))

    assert answer["Content-Disposition"].startswith('attachment; filename="flood-rhine-')
    assert answer["Content-Disposition"].endswith('-result.txt"')
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")


def test_a_download_says_its_length_and_checksum(browser, done):
    answer = download(browser, done(LARGE))

    content = answer.getvalue()
    assert len(content) == int(answer["Content-Length"])
    assert answer["Repr-Digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
    assert numpy.array_equal(numpy.load(io.BytesIO(content), allow_pickle=False), LARGE)


def test_a_large_download_is_never_in_memory_as_a_whole(browser, done):
    answer = download(browser, done(numpy.zeros(20_000_000, "u1")))

    tracemalloc.start()
    size = sum(map(len, answer.streaming_content))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 20_000_000
    assert most < 8_000_000


def test_a_server_that_is_asynchronous_gets_it_piece_by_piece_too(received_async, done):
    job = done(LARGE)

    received = received_async(reverse("jobsapi:job-result-download", args=[job.pk]))

    assert max(map(len, received)) < 300_000
    assert numpy.array_equal(numpy.load(io.BytesIO(b"".join(received)), allow_pickle=False), LARGE)


def test_asking_for_the_head_of_a_download_opens_and_closes_it(browser, done):
    answer = browser.head(reverse("jobsapi:job-result-download", args=[done(LARGE).pk]))

    assert answer.status_code == 200
    assert int(answer["Content-Length"]) > LARGE.nbytes
    answer.close()
    assert answer._file.closed


def test_a_storage_that_cannot_be_reached_is_said(browser, done, settings, tmp_path):
    job = done(LARGE)
    settings.STORAGES = {**settings.STORAGES, "jobsapi": {"BACKEND": f"{__name__}.Away"}}

    answer = download(browser, job)

    assert answer.status_code == 503
    assert "cannot be reached now" in answer.content.decode()


def test_a_file_that_is_missing_is_said_without_calling_the_job_anything(browser, done):
    job = done(LARGE)
    job.result_file.delete_file()

    assert download(browser, job).status_code == 409
    job.refresh_from_db()
    assert job.status_message == ""
    assert "missing" in job.events.get(by="seal").message


class Away(FileSystemStorage):
    """A storage at the other end of a broken line."""

    def _open(self, name, mode="rb"):
        raise RuntimeError("no route to host")


def test_a_changed_file_is_refused_with_a_sentence(browser, done):
    job = done("a result")
    job.blobs.filter(purpose=Purpose.FILE).update(sealed=b"another one")

    answer = download(browser, job)

    assert answer.status_code == 409
    assert "not what this portal sealed" in answer.content.decode()
    assert "not what this portal sealed" in page(browser, job)


def test_without_a_result_the_page_says_so(browser, row):
    assert "There is no result yet." in page(browser, row("running", Status.RUNNING))
    assert "the job was stopped before its end" in page(browser, row("stopped", Status.ABORTED))
    assert "No result is kept of this job" in page(browser, row("swept away", Status.COMPLETE))
    assert download(browser, Job.objects.first()).status_code == 404


def test_a_result_that_no_format_fits_says_why_there_is_no_file(browser, done):
    assert "No format that everybody can read fits a dict." in page(browser, done({(1, 2): 3}))


def test_the_table_leads_to_the_result(browser, done):
    job = done(1)

    assert reverse("jobsapi:job-result", args=[job.pk]) in browser.get(reverse("jobsapi:jobs")).content.decode()


@pytest.fixture
def with_output(done, settings, tmp_path):
    """A job that has left a file in its workspace, and named another one that is not there."""
    settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": tmp_path}
    job = done(1, workspace="ada", outputs={"Report für 2026": "out/report.html", "later": "out/later.txt"})
    (job.ensure_workspace() / "out").mkdir()
    (job.ensure_workspace() / "out" / "report.html").write_text("<script>alert(1)</script>")
    return job


def test_outputs_are_listed_and_downloaded_by_their_names(browser, with_output):
    text = page(browser, with_output)
    address = reverse("jobsapi:job-output", args=[with_output.pk, "Report für 2026"])

    answer = browser.get(address)

    assert address in text
    assert "not there yet" in text
    assert answer.getvalue() == b"<script>alert(1)</script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert "report.html" in answer["Content-Disposition"]


def test_a_file_that_grows_is_sent_as_long_as_it_was(browser, with_output):
    report = with_output.ensure_workspace() / "out" / "report.html"
    answer = browser.get(reverse("jobsapi:job-output", args=[with_output.pk, "Report für 2026"]))

    with report.open("a") as file:
        file.write("more")

    assert len(answer.getvalue()) == int(answer["Content-Length"])


@pytest.mark.parametrize("name", ["later", "out/report.html", "../secret", "..", "%2e%2e%2fsecret"])
def test_no_path_comes_from_the_browser(browser, with_output, name):
    address = reverse("jobsapi:job-output", args=[with_output.pk, "x"]).replace("/x/", f"/{name}/")

    assert browser.get(address).status_code == 404


def test_a_link_among_the_outputs_is_refused_with_a_sentence(browser, with_output):
    report = with_output.ensure_workspace() / "out" / "report.html"
    report.unlink()
    report.symlink_to("/etc/passwd")

    answer = browser.get(reverse("jobsapi:job-output", args=[with_output.pk, "Report für 2026"]))

    assert answer.status_code == 409
    assert "not served" in answer.content.decode()
    assert "root:" not in answer.content.decode()


@pytest.mark.parametrize("view", ["job-result", "job-result-download"])
def test_what_is_not_theirs_is_not_there_for_others(client, bob, done, view):
    address = reverse(f"jobsapi:{view}", args=[done("mine").pk])

    assert client.get(address).status_code == 302
    client.force_login(bob)
    assert client.get(address).status_code == 404
    bob.is_staff = True
    bob.save()
    assert client.get(address).status_code == 200


def test_outputs_of_others_are_not_there(client, bob, with_output):
    client.force_login(bob)

    assert client.get(reverse("jobsapi:job-output", args=[with_output.pk, "Report für 2026"])).status_code == 404


def test_numbers_too_far_apart_for_a_float_are_drawn():
    most = 1.7e308
    assert len(drawn({"picture": [[-most, most]], "low": -most, "high": most})["cells"]) == 2
    assert drawn({"line": [-most, most], "low": -most, "high": most})["lines"] == ["0.0,156.0 480.0,4.0"]


def test_a_plot_of_gaps_and_of_one_value_is_drawn():
    assert drawn(None) is None
    assert len(drawn({"line": [1, None, 2, 3], "low": 1, "high": 3})["lines"]) == 2
    assert drawn({"line": [5, 5], "low": 5, "high": 5})["lines"] == ["0.0,80.0 480.0,80.0"]
    assert [cell["fill"] for cell in drawn({"picture": [[0, None, 1]], "low": 0, "high": 1})["cells"]] == [
        "#440154",
        "#fde725",
    ]
