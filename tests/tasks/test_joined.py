"""Prompts that are dealt to recordings: exact boundaries, no prompt twice before all, the same."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.tasks.joined import Prompt, deal, waveform


def pool(*seconds):
    """Prompts whose samples tell which they are."""
    return {
        f"p{i}": Prompt(
            key=f"p{i}", text=f"text {i}",
            samples=np.full(round(s * SAMPLE_RATE), 1.0 + i, np.float32),
        )
        for i, s in enumerate(seconds)
    }  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    seconds=st.lists(st.floats(0.9, 4.0), min_size=5, max_size=20),
    length=st.sampled_from([5.0, 10.0, 29.0]),
    count=st.integers(1, 12),
)
def test_recordings_hold_their_prompts_where_they_say(seconds, length, count):
    prompts = pool(*seconds)
    dealt = deal(prompts, length, count, seed=1)
    assert dealt == deal(prompts, length, count, seed=1)
    assert len(dealt) == count
    for joined in dealt:
        assert len(set(joined.prompts)) == len(joined.prompts) > 0
        assert joined.text == " ".join(prompts[name].text for name in joined.prompts)
        sound = waveform(prompts, joined, silence=1.0)
        assert len(sound) == round((length + 1) * SAMPLE_RATE)
        quiet = np.ones(len(sound), bool)
        for name, start, end in zip(joined.prompts, joined.starts, joined.ends, strict=True):
            np.testing.assert_array_equal(sound[start:end], prompts[name].samples)
            quiet[start:end] = False
        assert (sound[quiet] == 0).all()
        gaps = np.subtract(joined.starts[1:], joined.ends[:-1]) / SAMPLE_RATE
        assert ((gaps >= 0.2 - 1e-4) & (gaps <= 0.5 + 1e-4)).all()


def test_no_prompt_comes_again_before_all_have_come():
    prompts = pool(*np.linspace(1.0, 2.0, 30))
    seen = Counter()
    for joined in deal(prompts, 10.0, 60, seed=3):
        seen.update(joined.prompts)
    assert len(seen) == 30
    assert max(seen.values()) - min(seen.values()) <= 2  # one deck, and what is left of another


def test_prompts_that_are_all_too_long_are_an_error():
    with pytest.raises(ValueError, match="none of 2 is as short as 5 s"):
        deal(pool(6.0, 7.0), 5, 1, seed=0)
