"""The status names of the Jobs API as ported apps read them, custom ones included."""

from __future__ import annotations

from typing import Any, ClassVar

from jobsapi.status import ACTIVE, NON_TERMINAL, PRE_RUNNING, RUNNING, TERMINAL, Status


class StatusNames:
    """Display names of a set of statuses, then the custom ones that were added to it. A new list at each reading."""

    def __init__(self, builtin: frozenset[Status]) -> None:
        self.builtin = [str(status.label) for status in Status if status in builtin]
        self.custom: dict[str, None] = {}

    def __get__(self, instance: Any, owner: type) -> list[str]:
        return [*self.builtin, *self.custom]


class Vocabulary:
    """``STATUSES`` and its kin. The built-in sets never change; custom statuses are added beside them."""

    STATUSES: ClassVar = tuple(Status.choices)
    VALID_STATUSES: ClassVar = list(Status.values)
    DISPLAY_STATUSES: ClassVar = [str(label) for label in Status.labels]
    REVERSE_STATUSES: ClassVar = {str(status.label): str(status.value) for status in Status}
    OTHER_STATUS_KEY: ClassVar = "__other_status__"

    PRE_RUNNING_STATUSES: ClassVar = StatusNames(PRE_RUNNING)
    RUNNING_STATUSES: ClassVar = StatusNames(RUNNING)
    ACTIVE_STATUSES: ClassVar = StatusNames(ACTIVE)
    NON_TERMINAL_STATUSES: ClassVar = StatusNames(NON_TERMINAL)
    TERMINAL_STATUSES: ClassVar = StatusNames(TERMINAL)

    @classmethod
    def add_custom_pre_running_status(cls, status: str) -> None:
        """Count the custom ``status`` among those before running."""
        _add(status, "PRE_RUNNING_STATUSES", "NON_TERMINAL_STATUSES")

    @classmethod
    def add_custom_running_status(cls, status: str) -> None:
        """Count the custom ``status`` among those that mean running."""
        _add(status, "RUNNING_STATUSES", "ACTIVE_STATUSES", "NON_TERMINAL_STATUSES")

    @classmethod
    def add_custom_active_status(cls, status: str) -> None:
        """Count the custom ``status`` among those of a job that is under way."""
        _add(status, "ACTIVE_STATUSES", "NON_TERMINAL_STATUSES")

    @classmethod
    def add_custom_terminal_status(cls, status: str) -> None:
        """Count the custom ``status`` among those of a job that has ended."""
        _add(status, "TERMINAL_STATUSES")


def _add(status: str, *categories: str) -> None:
    for category in categories:
        vars(Vocabulary)[category].custom[status] = None
