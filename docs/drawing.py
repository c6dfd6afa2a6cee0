"""Boxes and arrows as SVG. There is no layout engine: whoever draws chooses every coordinate.

A picture brings its own paper for light and dark screens, so it can be read on any page.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Point = tuple[float, float]

KINDS = ("app", "scheduler", "worker")
"""Whose an arrow is, which gives it its colour."""

STYLE = """
svg { --paper: #fff; --line: #8c959f; --ink: #1f2328; --soft: #59636e; --frame: #f6f8fa; --inner: #fff;
  --app: #8250df; --scheduler: #0969da; --worker: #b35900;
  --idle: #eff2f5; --busy: #ddf4ff; --halt: #fff8c5; --good: #dafbe1; --bad: #ffebe9; }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --line: #656c76; --ink: #f0f6fc; --soft: #9198a1;
  --frame: #151b23; --inner: #0d1117; --app: #ab7df8; --scheduler: #58a6ff; --worker: #e3924a;
  --idle: #262c36; --busy: #0c2d6b; --halt: #4b2900; --good: #04260f; --bad: #490202; } }
.paper { fill: var(--paper); stroke: var(--line); stroke-width: .5; }
.frame { fill: var(--frame); stroke: var(--line); }
.inner { fill: var(--inner); stroke: var(--line); }
.box { stroke: var(--line); stroke-width: 1.3; }
.plain { fill: var(--paper); } .idle { fill: var(--idle); } .busy { fill: var(--busy); } .halt { fill: var(--halt); }
.good { fill: var(--good); } .bad { fill: var(--bad); }
.open { fill: none; stroke-dasharray: 5 4; }
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
.soft { font-size: 12px; fill: var(--soft); } .strong { font-weight: 600; }
.note { font-size: 12.5px; paint-order: stroke; stroke: var(--frame); stroke-width: 4px; stroke-linejoin: round; }
.arrow { fill: none; stroke-width: 1.8; } .dashed { stroke-dasharray: 6 4; }
.disc { fill: var(--ink); } .digit { font-size: 12px; font-weight: 700; fill: var(--paper); }
"""
COLOURS = "\n".join(
    f"text.{kind}, .head-{kind} {{ fill: var(--{kind}); }} .arrow.{kind} {{ stroke: var(--{kind}); }}" for kind in KINDS
)


class Picture:
    """Collects shapes in the order in which they are painted."""

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        self.width, self.height, self.title, self.description = width, height, title, description
        self._shapes: list[str] = []

    def frame(self, corner: Point, size: Point, title: str, style: str = "frame", *, low: bool = False) -> None:
        """A large box behind others, with a title at its upper, or lower, left."""
        (x, y), (width, height) = corner, size
        self._shapes.append(f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="10"/>')
        self.text(x + 12, y + (height - 12 if low else 20), title, "soft strong", anchor="start")

    def box(self, centre: Point, size: Point, lines: Sequence[str], style: str = "plain") -> None:
        """A box with lines of text: the first one strong, the others small."""
        (x, y), (width, height) = centre, size
        place = f'x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}"'
        self._shapes.append(f'<rect class="box {style}" {place} rx="7"/>')
        top = y + 5 - 8.5 * (len(lines) - 1)
        for number, line in enumerate(lines):
            self.text(x, top + 17 * number, line, "soft" if number else "strong")

    def arrow(self, points: Sequence[Point], kind: str, *, both: bool = False, dashed: bool = False) -> None:
        """A line through the points, its corners rounded, with a head at its end or at both ends."""
        heads = f'marker-end="url(#{kind})"' + f' marker-start="url(#{kind})"' * both
        self._shapes.append(f'<path class="arrow {kind}{" dashed" * dashed}" d="{_rounded(points)}" {heads}/>')

    def note(self, at: Point, text: str, kind: str, anchor: str = "middle") -> None:
        """What an arrow means; it stands out from lines that it lies on."""
        self.text(*at, text, f"note {kind}", anchor)

    def number(self, at: Point, number: int) -> None:
        """A number in a disc."""
        self._shapes.append(f'<circle class="disc" cx="{at[0]}" cy="{at[1]}" r="11"/>')
        self.text(at[0], at[1] + 4.5, str(number), "digit")

    def text(self, x: float, y: float, text: str, style: str, anchor: str = "middle") -> None:
        self._shapes.append(f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>')

    def svg(self) -> str:
        """The whole file."""
        heads = "\n".join(
            f'<marker id="{kind}" class="head-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7.5" '
            'markerHeight="7.5" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
            '<path d="M0 0 L10 5 L0 10 z"/></marker>'
            for kind in KINDS
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img" aria-labelledby="title description">',
                f'<title id="title">{escape(self.title)}</title>',
                f'<desc id="description">{escape(self.description)}</desc>',
                f"<style>{STYLE}{COLOURS}</style>",
                f"<defs>{heads}</defs>",
                f'<rect class="paper" x=".5" y=".5" width="{self.width - 1}" height="{self.height - 1}" rx="12"/>',
                *self._shapes,
                "</svg>",
                "",
            ]
        )


def _rounded(points: Sequence[Point], radius: float = 12) -> str:
    """Path data of a polyline whose corners are arcs."""
    path = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        path.append(f"L{start[0]:g} {start[1]:g} Q{corner[0]:g} {corner[1]:g} {end[0]:g} {end[1]:g}")
    path.append(f"L{points[-1][0]:g} {points[-1][1]:g}")
    return " ".join(path)


def _towards(here: Point, there: Point, distance: float) -> Point:
    """The point at ``distance`` on the way from here to there, or half-way if that is nearer."""
    dx, dy = there[0] - here[0], there[1] - here[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1
    part = min(distance / length, 0.5)
    return round(here[0] + dx * part, 1), round(here[1] + dy * part, 1)
