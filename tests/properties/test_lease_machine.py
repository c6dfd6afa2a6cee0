"""However time jumps, workers stand still and leases run out: no row is in two hands that both may act on it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jobsapi.lease import Lease, lease
from jobsapi.models import Job
from tests.properties import a_part_of
from tests.properties.mortality import Clock

HOLDERS = 3


class Holders(RuleBasedStateMachine):
    """Some workers that lease rows of one table. ``rows`` are the keys of the jobs."""

    clock: ClassVar[Clock]
    rows: ClassVar[list[int]]

    @initialize()
    def nobody_has_anything(self) -> None:
        Job._base_manager.update(leased_until=None, name="")
        self.hands: list[tuple[Lease, ExitStack] | None] = [None] * HOLDERS
        self.marks = 0

    @rule(who=st.integers(0, HOLDERS - 1), limit=st.integers(1, 3))
    def take(self, who: int, limit: int) -> None:
        if self.hands[who] is None:
            stack = ExitStack()
            held = stack.enter_context(lease(Job._base_manager.order_by("pk"), "leased_until", limit))
            self.hands[who] = (held, stack)

    @rule(who=st.integers(0, HOLDERS - 1))
    def give_back(self, who: int) -> None:
        hand, self.hands[who] = self.hands[who], None
        if hand is None:
            return
        others = {row.pk: self.stored(row.pk) for row in self.held_by_others(who)}
        hand[1].close()
        for pk, until in others.items():
            assert self.stored(pk) == until, "what is another's is not given back"

    @rule(who=st.integers(0, HOLDERS - 1), keep=st.booleans())
    def confirm(self, who: int, keep: bool) -> None:
        """It writes what it is about to do: only if nobody has taken any of its rows since."""
        hand = self.hands[who]
        if hand is None or not hand[0].rows:
            return
        self.marks += 1
        ours = {row.pk for row in hand[0].rows}
        taken = ours & {row.pk for row in self.held_by_others(who)}
        if hand[0].confirm(name=f"mark {self.marks}"):
            assert not taken, "a row that another has now is not confirmed"
        else:
            assert taken or any(self.stored(pk) is None for pk in ours), "nobody else had it"
        if keep:
            hand[0].keep(hand[0].rows[:1])

    @rule(seconds=st.sampled_from([1.0, 20.0, 29.9, 31.5, 3600.0, -3600.0]))
    def time(self, seconds: float) -> None:
        self.clock.passes(seconds)

    @invariant()
    def no_row_is_in_two_hands(self) -> None:
        """A hand counts that could act: its token is the one in the row. Tokens are never the same."""
        for pk in self.rows:
            until = self.stored(pk)
            hands = [hand for hand in self.hands if hand and pk in {row.pk for row in hand[0].rows}]
            assert sum(hand[0]._token == until for hand in hands) <= 1

    def held_by_others(self, who: int) -> list[Any]:
        """Rows that another hand has and that are its own by what the table says."""
        return [
            row
            for number, hand in enumerate(self.hands)
            if hand and number != who
            for row in hand[0].rows
            if self.stored(row.pk) == hand[0]._token
        ]

    @staticmethod
    def stored(pk: int) -> Any:
        return Job._base_manager.values_list("leased_until", flat=True).get(pk=pk)

    def teardown(self) -> None:
        for hand in getattr(self, "hands", []):
            if hand is not None:
                hand[1].close()


@pytest.mark.django_db
def test_no_row_is_ever_in_two_hands_that_may_act_on_it(make_job, monkeypatch):
    Holders.rows = []
    for number in range(4):
        job = make_job(f"job {number}")
        job.save()
        Holders.rows.append(job.pk)
    Holders.clock = Clock()
    monkeypatch.setattr(timezone, "now", Holders.clock)

    run_state_machine_as_test(Holders, settings=a_part_of(0.3))
