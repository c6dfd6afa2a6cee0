"""What a job's own programs report with: it reaches the portal, and nothing that goes wrong reaches the job."""

from __future__ import annotations

import http.server
import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from jobsapi import reporting
from jobsapi.backends.dask.work import arguments, wants
from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.names import REPORT_FILE
from jobsapi.models.progress import Ignored
from jobsapi.reporting import Reporter
from tests.rig.ports import kept_port


class Portal(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent, and answers as it is told."""

    heard: ClassVar[list[tuple[str, str, dict[str, object]]]] = []
    status: ClassVar[int] = 200
    too_soon: ClassVar[int] = 0
    """So many of the next reports come too soon."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append((self.path, self.headers["Authorization"], body))
        answer = {"success": self.status == 200, "error": "The job has ended."}
        if self.too_soon:
            Portal.too_soon -= 1
            answer["ignored"] = str(Ignored.SOON)
        said = json.dumps(answer).encode()
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture
def portal():
    Portal.heard.clear()
    Portal.status = 200
    Portal.too_soon = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        Portal.url = f"http://127.0.0.1:{server.server_port}/report-job-status/7/"
        yield Portal
        server.shutdown()
        thread.join()


def test_a_report_shows_its_token_in_the_header_and_nowhere_else(portal):
    reporter = pickle.loads(pickle.dumps(Reporter(portal.url, "s3cret")))
    assert reporter(progress=40, message="Half of it")
    [(path, authorization, body)] = portal.heard
    assert (path, authorization) == ("/report-job-status/7/", "Bearer s3cret")
    assert {name: value for name, value in body.items() if name != "time"} == {"progress": 40, "message": "Half of it"}
    assert body["time"] > 1e9
    assert "s3cret" not in repr(reporter)


def test_of_many_reports_the_first_and_the_last_are_sent(portal):
    reporter = Reporter(portal.url, "t")
    for done in range(1, 1_001):
        reporter(progress_done=done, progress_total=1_000)
    assert [body["progress_done"] for *_, body in portal.heard][:1] == [1]
    assert portal.heard[-1][2]["progress_done"] == 1_000
    assert len(portal.heard) < 100


def test_the_first_words_of_a_part_are_sent_again_when_others_spoke_at_that_moment(portal, monkeypatch):
    monkeypatch.setattr(reporting, "PAUSE", 0.01)
    portal.too_soon = 1
    reporter = Reporter(portal.url, "t")
    assert reporter(progress=10, part="east")
    assert [body["progress"] for *_, body in portal.heard] == [10, 10]
    portal.too_soon = 9
    Reporter(portal.url, "t")(progress=10)  # of the job as a whole there will be others
    assert len(portal.heard) == 3
    Reporter(portal.url, "t")(progress=10, part="west")
    assert len(portal.heard) == 3 + reporting.TRIES


def test_a_refusal_is_told_in_words_once_and_then_there_is_a_rest(portal, capsys):
    portal.status = 409
    reporter = Reporter(portal.url, "s3cret")
    assert [reporter(progress=number) for number in range(5)] == [False] * 5
    assert len(portal.heard) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "409 The job has ended." in said


def test_a_redirect_is_not_followed_with_the_token(portal):
    portal.status = 302
    assert not Reporter(portal.url, "t")(progress=1)
    assert [path for path, *_ in portal.heard] == ["/report-job-status/7/"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "no address", "http://[", "http://127.0.0.1:99999/"])
def test_a_portal_that_is_away_makes_no_job_fail(url, capsys):
    with kept_port() as port:
        assert Reporter(url.format(port=port), "t")(progress=1) is False
    assert "was not told" in capsys.readouterr().err


def test_the_file_alone_is_a_program_for_shell_scripts(portal, tmp_path):
    program = tmp_path / "reporting.py"
    program.write_bytes(Path(reporting.__file__).read_bytes())
    (tmp_path / REPORT_FILE).write_text(json.dumps({"url": portal.url, "token": "t"}))

    def run(*words):
        command = [sys.executable, "-I", program, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert run("progress_done=3", "progress_total=8", "message=a = b").returncode == 0
    assert portal.heard[0][2]["message"] == "a = b"
    assert portal.heard[0][2]["progress_done"] == 3
    assert run("speed=3").returncode == 2
    (tmp_path / REPORT_FILE).write_text("{")
    assert run("progress=3").returncode == 1


def test_a_function_of_dask_gets_a_reporter_where_it_left_one_free():
    def asks(river, client=None, *, reporter=None):
        return river, client, reporter

    def has_its_own(reporter, year):
        return reporter, year

    offered = {"client": "C", "reporter": "R"}
    args, kwargs = arguments(asks, ["Rhine"], {}, offered)
    assert asks(*args, **kwargs) == ("Rhine", "C", "R")
    assert arguments(has_its_own, ["me", 3], {}, offered) == (("me", 3), {})
    assert not wants(asks, "reporter", ["Rhine"], {"reporter": 3})
    assert not wants(print, "reporter", [], {})


def test_a_function_that_asks_for_a_reporter_is_refused_where_nobody_set_the_address(make_job):
    def reports(reporter):
        reporter(progress=1)

    with pytest.raises(InvalidJob, match="PUBLIC_URL"):
        make_job().execute(reports)
