"""What an app says about a table of jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobsapi.models import Job
from jobsapi.web.table.actions import Action, CustomJobAction, Unresolved, actions_of
from jobsapi.web.table.columns import Column
from jobsapi.web.table.source import Source, source_of

FASTEST = 500
"""Milliseconds between two questions of a page, at least."""
LARGEST = 200
"""Rows of a page, at most."""
RICH = frozenset({"id", "name", "execute_time", "completion_time"})
"""What a table without columns of its own is sorted by, beside the status."""
LOOKS = ("hover", "striped", "bordered", "condensed")


class JobsTable:
    """A table of jobs for a template: ``{% load jobsapi %}{% jobs_table options %}``.

    It sorts, searches, filters and pages by itself, keeps itself up to date, and shows nobody a job that they may not
    see. A wrong argument raises ``TypeError`` or ``ValueError`` here, where it was written, and says what to do.
    """

    def __init__(
        self,
        jobs: Any,
        column_fields: Sequence[str | Sequence[str]] = (),
        show_status: bool = True,
        show_actions: bool = True,
        monitor_url: str = "",
        results_url: str = "",
        hover: bool = False,
        striped: bool = False,
        bordered: bool = False,
        condensed: bool = False,
        attributes: Mapping[str, Any] | None = None,
        classes: str = "",
        refresh_interval: int = 5000,
        delay_loading_status: bool = True,
        show_detailed_status: bool = False,
        actions: Sequence[str | CustomJobAction | Sequence[Any] | Mapping[str, Any]] | None = None,
        enable_data_table: bool = False,
        data_table_options: Mapping[str, Any] | None = None,
        sort: bool | Callable[[Job], Any] = True,
        reverse_sort: bool = False,
        *,
        page_size: int = 50,
        caption: str = "",
    ) -> None:
        """What the arguments mean.

        ``jobs``: a queryset (best the one of ``job_manager.list_jobs()``, unchanged: then the table also shows new jobs
        without a reload) or a list. ``column_fields``: names of attributes, ``("Heading", "field")``, or
        ``extended_properties.<key>``; without any the table shows name, description, type and times together.
        ``monitor_url``, ``results_url``: names of addresses that take the number of a job. ``actions``: names of
        built-in ones (``run pause resume resubmit logs parts monitor results terminate delete``), ``"|"``, and
        ``CustomJobAction`` or its arguments. ``attributes``, ``classes``: of the HTML table. ``refresh_interval``: in
        milliseconds; 0 for a table that stays as it is. ``show_detailed_status``: status messages in full at once.
        ``sort``: True for the order in which jobs were made, the oldest first; False for the order of ``jobs``; or a
        function that gives a key for each job (it reads all of them, at most 10,000). ``reverse_sort`` turns it round:
        the newest first. ``page_size``: rows of a page. ``caption``: what screen readers call the table.

        ``delay_loading_status``, ``enable_data_table`` and ``data_table_options`` are taken for the sake of ported
        apps. A status costs nothing to show, so nothing is delayed, and there is always sorting, searching and paging;
        of the options ``pageLength`` counts.
        """
        if isinstance(column_fields, str):
            raise TypeError(f'column_fields is a list of names, not one: write column_fields=("{column_fields}",).')
        if isinstance(actions, str):
            raise TypeError(f'actions is a list, not one name: write actions=["{actions}"].')
        self.columns: tuple[Column, ...] = tuple(Column.of(each) for each in column_fields)
        self.show_status = bool(show_status)
        self.show_actions = bool(show_actions)
        self.show_detailed_status = bool(show_detailed_status)
        self.monitor_url, self.results_url = monitor_url, results_url
        self.actions: tuple[Action, ...] = actions_of(actions, monitor_url=monitor_url, results_url=results_url)
        self.refresh_interval = _interval(refresh_interval)
        length = (data_table_options or {}).get("pageLength", page_size)
        self.page_size = min(max(_number(length, "page_size"), 1), LARGEST)
        chosen = {"hover": hover, "striped": striped, "bordered": bordered, "condensed": condensed}
        self.classes = " ".join([look for look in LOOKS if chosen[look]] + [str(classes)]).strip()
        self.attributes = dict(attributes or {})
        self.caption = caption
        self.source: Source = source_of(jobs, sort, reverse_sort)

    @property
    def attributes_as_html(self) -> SafeString:
        """The app's own attributes of the HTML table. Raises ``ValueError`` for a name that is none."""
        for name in self.attributes:
            if not re.fullmatch(r"[A-Za-z_][\w.:-]*", name) or name.lower() in ("id", "class"):
                raise ValueError(
                    f"“{name}” cannot be an attribute of the table; classes have an argument of their own."
                )
        return format_html_join("", ' {}="{}"', self.attributes.items())

    @property
    def linked(self) -> Column | None:
        """The column that leads to the page of a job: its name, or else the first one."""
        return next((column for column in self.columns if column.field == "name"), next(iter(self.columns), None))

    @property
    def with_heavy(self) -> bool:
        """Whether it shows something that is in the large columns of a job."""
        return any(column.is_heavy for column in self.columns)

    @property
    def asks_the_app(self) -> bool:
        """Whether a function of the app's says what can be done with each job: then columns alone do not tell."""
        return self.show_actions and any(
            isinstance(action, CustomJobAction) and action.enabled_callback for action in self.actions
        )

    def written(self) -> dict[str, Any]:
        """All but the jobs, as JSON."""
        return {
            "columns": [[column.heading, column.field] for column in self.columns],
            "status": self.show_status,
            "shown": self.show_actions,
            "detailed": self.show_detailed_status,
            "monitor": self.monitor_url,
            "results": self.results_url,
            "actions": [action if isinstance(action, str) else action.written() for action in self.actions],
            "size": self.page_size,
        }

    @classmethod
    def rebuilt(cls, written: Mapping[str, Any], source: Source) -> JobsTable:
        """The table that ``written`` describes. Raises ``Unresolved`` when the code is another one now."""
        table = cls.__new__(cls)
        try:
            table.columns = tuple(Column.of(column) for column in written["columns"])
            table.actions = tuple(
                action if isinstance(action, str) else CustomJobAction.read(action) for action in written["actions"]
            )
        except (ValueError, TypeError, KeyError) as error:
            raise Unresolved(str(error)) from error
        table.show_status, table.show_actions = written["status"], written["shown"]
        table.show_detailed_status = written["detailed"]
        table.monitor_url, table.results_url = written["monitor"], written["results"]
        table.page_size = written["size"]
        table.refresh_interval, table.classes, table.attributes, table.caption = 0, "", {}, ""
        table.source = source
        return table

    @property
    def sorts(self) -> frozenset[str]:
        """The columns of the database that a reader may sort by."""
        own = {column.sorts_by for column in self.columns} if self.columns else RICH
        return frozenset({*own, "_status"} - {""})


def _interval(milliseconds: Any) -> int:
    number = _number(milliseconds, "refresh_interval")
    return max(number, FASTEST) if number > 0 else 0


def _number(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number, not {value!r}.")
    return int(value)
