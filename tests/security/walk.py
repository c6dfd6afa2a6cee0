"""Every address of the portal, as its url conf has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import URLResolver, get_resolver

ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")


def endpoints(resolver: URLResolver | None = None, spaces: tuple[str, ...] = (), above: str = "") -> Iterator[Any]:
    """For each endpoint its name with its name spaces (its pattern, if it has no name), and its whole pattern."""
    for each in (resolver or get_resolver()).url_patterns:
        pattern = above + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from endpoints(each, (*spaces, *filter(None, [each.namespace])), pattern)
        else:
            yield ":".join((*spaces, each.name)) if each.name else pattern, pattern


def filled(pattern: str, values: Mapping[str, Any]) -> str:
    """An address of this pattern. Raises ``KeyError`` for an argument that has no value."""
    plain = re.sub(r"\^?\(\?P<(\w+)>[^)]*\)(/?)\$", r"<\1>\2", pattern)
    return "/" + ARGUMENT.sub(lambda found: str(values[found[1]]), plain)
