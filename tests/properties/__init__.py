"""What holds whatever happens: state machines and fuzzing, by Hypothesis.

A run is short and always the same. ``pytest tests/properties --hypothesis-profile=long`` searches for as long as it
takes, at random; what it finds is kept in ``.hypothesis`` and tried first by the next long run.
"""

from __future__ import annotations

from hypothesis import settings


def a_part_of(share: float) -> settings:
    """For tests of which an example takes long: this share of the examples of the profile, and 5 at least."""
    return settings(max_examples=max(5, int(settings.default.max_examples * share)))
