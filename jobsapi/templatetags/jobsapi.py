"""``{% load jobsapi %}``: the Jobs table in a template of any app."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template import Context, Library
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from jobsapi.web.table.options import JobsTable
from jobsapi.web.table.showing import rendered

register = Library()

BROUGHT = "_jobsapi_assets"
TABLES = "_jobsapi_tables"


@register.simple_tag(takes_context=True)
def jobs_table(context: Context, options: JobsTable) -> SafeString:
    """The table that ``options`` describe, with all that it needs. Several on a page are told apart."""
    if not isinstance(options, JobsTable):
        raise TypeError(
            f"{{% jobs_table %}} takes a JobsTable that the view has put into its context, not {options!r}."
        )
    request = _request(context)
    number = getattr(request, TABLES, 0) + 1
    setattr(request, TABLES, number)
    assets = "" if hasattr(request, BROUGHT) else jobs_table_assets(context)
    return mark_safe(assets + rendered(request, options, number))  # noqa: S308  # two rendered templates


@register.simple_tag(takes_context=True)
def gizmo(context: Context, options: JobsTable) -> SafeString:
    """``jobs_table``, by the name that templates of ported apps use."""
    return jobs_table(context, options)


@register.simple_tag(takes_context=True)
def jobs_table_assets(context: Context, htmx: bool = True) -> SafeString:
    """The stylesheet and the scripts of the table, for the head of a page; without it the first table brings them.

    ``htmx=False`` for a page that loads htmx (version 2) itself.
    """
    request = _request(context)
    setattr(request, BROUGHT, True)
    return render_to_string("jobsapi/table/assets.html", {"htmx": htmx}, request=request)


def _request(context: Context) -> HttpRequest:
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        raise ImproperlyConfigured(
            "The Jobs table needs the request: render the template with render(request, ...), and have "
            "django.template.context_processors.request among the context_processors in TEMPLATES."
        )
    return request
