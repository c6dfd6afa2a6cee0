"""What is run, as HTCondor's submit language describes it: the same for a job and for a node of a workflow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, ClassVar

from jobsapi.exceptions import InvalidJob
from jobsapi.models.condor import rules
from jobsapi.models.spec import spec_property
from jobsapi.shown import shown

DIGITS = re.compile(r"[0-9]{1,10}")


def paths(value: Iterable[Any] | str | os.PathLike[str] | None) -> list[str]:
    """One path or several, as text. Raises ``InvalidJob`` for what is none."""
    if value is None:
        return []
    try:
        return [os.fspath(each) for each in ([value] if isinstance(value, str | os.PathLike) else value)]
    except TypeError as error:
        raise InvalidJob(f"{shown(value)} is no list of paths. Give it texts.") from error


def kept(value: Any) -> dict[str, Any]:
    """A dict of its own: what the caller does to the one it gave changes nothing. Raises ``InvalidJob`` for others."""
    try:
        given = dict(value) if value is not None else {}
    except (TypeError, ValueError) as error:
        raise InvalidJob(f"{shown(value)} is no dict. Give it names and values.") from error
    return {
        name: [as_text(item) for item in each] if isinstance(each, list | tuple) else as_text(each)
        for name, each in given.items()
    }


def as_text(value: Any) -> Any:
    """A path as text, and all else as it is."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def whole(value: Any) -> Any:
    """A number that was given in digits, as a form does, and all else as it is."""
    return int(value) if isinstance(value, str) and DIGITS.fullmatch(value) else value


class Described:
    """One executable and how it is run, ``num_jobs`` times. For a model with a ``spec``."""

    spec: dict[str, Any]

    TEMPLATES: ClassVar[tuple[str, ...]] = rules.TEMPLATES
    """What ``condorpy_template_name`` may be: condorpy's templates, or none."""

    attributes = spec_property(
        dict,
        convert=kept,
        doc="""Lines of the submit description: names as in the manual of condor_submit, values text, numbers or lists.

    They go on top of those of the template.
    """,
    )
    num_jobs = spec_property(1, convert=whole, doc="How many times it is queued; $(Process) tells the procs apart.")
    condorpy_template_name = spec_property(
        "", doc="condorpy's template that the description starts from; see TEMPLATES."
    )
    remote_input_files = spec_property(
        list,
        convert=paths,
        doc="""Paths of files and folders on the portal that are put beside the submit description, by their last name.

    For a scheduler on this machine just as for one over SSH. To have one transferred to where the job runs, name it in
    ``transfer_input_files`` too, as ``../name``: that is relative to ``initialdir``.
    """,
    )

    def set_attribute(self, attribute: str, value: Any) -> None:
        """Set a line of the submit description. ``save()`` or ``execute()`` keeps it."""
        self.attributes = {**self.attributes, attribute: value}

    def get_attribute(self, attribute: str) -> Any:
        """The value of a line of the submit description; None if there is none. Lines of the template count too."""
        if attribute in self.attributes:
            return self.attributes[attribute]
        return self.condorpy_job.get(attribute)

    @property
    def condorpy_job(self) -> Any:
        """The condorpy Job that the submit description is written from, made anew at each access.

        What is changed on it is not kept: ``set_attribute`` is for that.
        """
        raise NotImplementedError

    def check_description(self) -> None:
        """Raises ``InvalidJob`` for what could not be written, or would write something else than it says."""
        rules.check_attributes(self.attributes)
        rules.check_files(self.remote_input_files)
        rules.check_count("num_jobs", self.num_jobs)
        rules.check_template(self.condorpy_template_name, self.TEMPLATES)
