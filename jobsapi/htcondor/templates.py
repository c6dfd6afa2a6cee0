"""The templates of condorpy that a submit description may start from."""

from __future__ import annotations

from jobsapi.exceptions import InvalidJob
from jobsapi.shown import shown

TEMPLATES = ("base", "vanilla_base", "vanilla_transfer_files", "vanilla_nfs")


def check_template(name: str, templates: tuple[str, ...]) -> None:
    """Raises ``InvalidJob`` unless ``name`` is one of ``templates``, or empty."""
    if name and name not in templates:
        raise InvalidJob(f"There is no template {shown(name)}. Choose one of {', '.join(templates)}, or none.")
