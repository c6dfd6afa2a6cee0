"""Projects for pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.project import Project


@pytest.fixture
def project_of(tmp_path: Path) -> Callable[[Path], Project]:
    """Make the project in which a page is run."""

    def make(page: Path) -> Project:
        folder = tmp_path / page.stem
        folder.mkdir()
        return Project(folder, page)

    return make
