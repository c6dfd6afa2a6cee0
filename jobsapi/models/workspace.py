"""Where jobs may keep files: below one configured root, each user's under the app's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings

from jobsapi import conf
from jobsapi.exceptions import WorkspaceNotAllowed
from jobsapi.shown import shown


def root() -> Path:
    """``JOBSAPI["WORKSPACE_ROOT"]``; a relative one lies in ``BASE_DIR``, or where the process was started."""
    return Path(getattr(settings, "BASE_DIR", "."), conf.get("WORKSPACE_ROOT")).resolve()


def user_workspace(label: str, user: Any) -> str:
    """The folder of a user under an app's. Not made yet."""
    return str(inside_root(f"{label}/user-{user.pk}"))


def inside_root(path: str) -> Path:
    """``path`` (relative ones below the root), symbolic links followed.

    Raises ``WorkspaceNotAllowed`` if it leaves the root.
    """
    top = root()
    try:
        folder = (top / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise WorkspaceNotAllowed(f"{shown(path)} is no path: {error}") from error
    if folder == top or not folder.is_relative_to(top):
        raise WorkspaceNotAllowed(
            f"The workspace {folder} does not lie below {top}. "
            'Choose a folder there, or have JOBSAPI["WORKSPACE_ROOT"] changed.'
        )
    return folder
