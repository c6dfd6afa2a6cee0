"""Texts and bytes that nobody expects, and recorded ones that were spoilt on their way."""

from __future__ import annotations

from hypothesis import strategies as st

HUGE = "9" * 5_000
"""More digits than Python turns into a number."""

PIECES = [
    *(
        "",
        " ",
        "\n",
        "\x00",
        "\ud800",
        "\x1b[2J",
        "é",
        "𝄞",
        "\u202e",
        "%",
        "%00",
        "..",
        "/",
        "\\",
        '"',
        "'",
        "$(",
        "{",
        "}",
    ),
    *(
        "0",
        "-1",
        "1e999",
        "NaN",
        HUGE,
        f"-{HUGE}",
        "٣",
        "²",
        "null",
        "[" * 3_000,
        "{" * 3_000,
        "(" * 3_000,
        "-" * 5_000,
    ),
]

pieces = st.sampled_from(PIECES)
texts = st.text(st.characters(), max_size=40) | pieces | st.lists(pieces, max_size=4).map("".join)
"""Any text, lone surrogates and NUL included."""

json_numbers = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400, True])
json_values = st.recursive(
    st.none() | st.booleans() | json_numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoilt(draw: st.DrawFn, originals: st.SearchStrategy[str]) -> str:
    """One of the originals, cut short, with something else in its midst, or with parts of it twice or missing."""
    text = draw(originals)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 200)) | st.just(len(text)))
        text = draw(
            st.sampled_from([text[:start], text[:start] + text[end:], text[:end] + text[start:]])
            | pieces.map(lambda piece, text=text, start=start, end=end: text[:start] + piece + text[end:])
        )
    return text
