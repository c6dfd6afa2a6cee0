"""The table of a run: which faults came, and what was broken among the jobs that were under way then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.campaign import Injected
from tests.chaos.cases import Case, Wrong

COLUMNS = ("Fault", "times injected", "jobs", *(wrong.value for wrong in Wrong))
BEGIN, END = "<!-- the table of a run: begin -->", "<!-- the table of a run: end -->"


def rows(injected: Sequence[Injected], found: Sequence[Case], count: int) -> list[tuple[str, ...]]:
    """A line for each fault; a broken promise is counted for each fault that its job was under way at."""
    lines: list[tuple[str, ...]] = []
    for fault in dict.fromkeys(each.fault for each in injected):
        turns = [each for each in injected if each.fault == fault]
        under_way = {pk for turn in turns for pk in turn.under_way}
        wrongs = Counter(case.wrong for case in found if case.job in under_way)
        lines.append((fault, str(len(turns)), str(len(under_way)), *(str(wrongs[wrong]) for wrong in Wrong)))
    wrongs = Counter(case.wrong for case in found)
    return [*sorted(lines), ("All", str(len(injected)), str(count), *(str(wrongs[wrong]) for wrong in Wrong))]


def text(lines: Sequence[tuple[str, ...]]) -> str:
    """For a terminal."""
    widths = [max(len(row[column]) for row in [COLUMNS, *lines]) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in [COLUMNS, *lines])
    )


def markdown(lines: Sequence[tuple[str, ...]]) -> str:
    """For docs/reliability.md."""
    ruler = ("---", *("--:" for _ in COLUMNS[1:]))
    return "\n".join(f"| {' | '.join(row)} |" for row in [COLUMNS, ruler, *lines])


def write(path: Path, table: str, words: Iterable[str]) -> None:
    """Put the table, and what is to be said of its run, between the marks of a page."""
    page = path.read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no marks: {BEGIN} and {END}")
    path.write_text("\n".join([before + begin, *words, "", table, end + after]))
