"""Buckets: nothing lost, nothing over the budget."""

from hypothesis import given, settings
from hypothesis import strategies as st

from focused_attention.tasks.batches import bucketed


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=60), budget=st.integers(90, 400))
def test_buckets_hold_everything_once_within_the_budget(lengths, budget):
    class Planned:
        def __init__(self, frames):
            self.frames = frames

    planned = [Planned(n) for n in lengths]
    batches = bucketed(planned, budget)
    assert sorted(id(u) for b in batches for u in b) == sorted(id(u) for u in planned)
    assert all(len(b) * max(u.frames for u in b) <= budget for b in batches)
