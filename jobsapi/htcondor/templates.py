"""The templates of condorpy that a submit description may start from."""

from __future__ import annotations

from jobsapi.exceptions import InvalidJob

TEMPLATES = ("base", "vanilla_base", "vanilla_transfer_files", "vanilla_nfs")


def check_template(name: str, templates: tuple[str, ...]) -> None:
    """Raises ``InvalidJob`` unless ``name`` is one of ``templates``, or empty."""
    if name and name not in templates:
        raise InvalidJob(f"There is no template {name!r:.80}. Choose one of {', '.join(templates)}, or none.")
