"""Values as the text of an error names them, whatever they are."""

from __future__ import annotations

from typing import Any


def shown(value: Any, limit: int = 80) -> str:
    """The first ``limit`` characters of the repr of ``value``; its type, where it cannot be had. Raises nothing."""
    try:
        return repr(value)[:limit]
    except Exception:  # noqa: BLE001  (a class of the app's own may raise anything; an int may have too many digits)
        return f"a {type(value).__name__} that cannot be shown"[:limit]
