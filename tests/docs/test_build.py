"""The documentation as a site."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"),
            *("-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder / "html"


def test_it_is_built_without_a_warning_and_has_every_page(site):
    pages = {path.stem for path in DOCS.glob("*.md")} | {path.stem for path in DOCS.glob("*.rst")}

    assert pages <= {path.stem for path in site.glob("*.html")}


def test_the_reference_describes_what_apps_call(site):
    text = (site / "api.html").read_text()

    for name in (
        *("manager.JobManager.create_job", "models.Job.execute", "models.DaskJob.result", "testing.FakeBackend"),
        *("models.CondorJob.attributes", "models.CondorWorkflowNode.retry", "models.CondorWorkflowSpliceNode.dag_file"),
    ):
        assert f'id="jobsapi.{name}"' in text


def test_it_loads_nothing_from_elsewhere(site):
    loads = r"<(?:script|img|iframe)\b[^>]*\bsrc=\"(\w+:)?//|<link\b[^>]*\brel=\"stylesheet\"[^>]*\bhref=\"(\w+:)?//"

    assert [page.name for page in site.glob("*.html") if re.search(loads, page.read_text())] == []
