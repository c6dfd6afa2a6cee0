"""Text as every database takes it."""

MESSAGE_LIMIT, DETAIL_LIMIT = 2_000, 100_000


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """``text`` without NUL and lone surrogates, and no longer than ``limit``."""
    text = text.replace("\x00", "�").encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def storable(text: str) -> bool:
    """Whether every database takes ``text`` as it is."""
    return clean(text, len(text)) == text
