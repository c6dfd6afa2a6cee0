"""Text as every database takes it."""

from collections.abc import Mapping
from typing import Any

MESSAGE_LIMIT, DETAIL_LIMIT = 2_000, 100_000


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """``text`` without NUL and lone surrogates, and no longer than ``limit``."""
    text = text[: limit + 1].replace("\x00", "�").encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def storable(text: str) -> bool:
    """Whether every database takes ``text`` as it is."""
    return clean(text, len(text)) == text


def clean_json(value: Any) -> Any:
    """JSON with all of its texts as every database takes them."""
    if isinstance(value, str):
        return clean(value, len(value))
    if isinstance(value, Mapping):
        return {clean(str(key), len(str(key))): clean_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(each) for each in value]
    return value
