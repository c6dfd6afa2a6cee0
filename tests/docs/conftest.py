"""Projects for pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.project import Project

ON_A_POOL = ("htcondor.md",)
"""Pages whose jobs run on a real HTCondor pool."""


@pytest.fixture
def project_of(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Path], Project]:
    """Make the project in which a page is run."""

    def make(page: Path) -> Project:
        folder = tmp_path / page.stem
        folder.mkdir()
        return Project(folder, page, beside_a_pool(request) if page.name in ON_A_POOL else None)

    return make


def beside_a_pool(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment in which a page finds the pool. The test is skipped where none can be had."""
    pool, workspaces = request.getfixturevalue("condor_pool"), request.getfixturevalue("condor_workspace")
    return {**pool.env, "REHEARSAL_WORKSPACES": str(workspaces)}
