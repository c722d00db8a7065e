"""Alignment: segments and attention whose answer is known, and a loop over positions."""

import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from torch.testing import assert_close

from focused_attention.metrics import alignment as m
from focused_attention.metrics.alignment import Alignment
from focused_attention.verdicts.statistics import rate_interval

SECONDS = 0.04  # per position
NAN = math.nan


def looking_at(positions, S=10):
    """One-hot rows, (1, 1, L, S)."""
    return torch.eye(S)[torch.tensor(positions)][None, None]


def segments(*pairs):
    """start and end, (1, L) each."""
    return torch.tensor([pairs], dtype=torch.float64).unbind(-1)


def random_case(B=4, H=2, L=6, S=12, seed=0):
    """Softmax weights, random segments of which some are missing, and who was emitted."""
    generator = torch.Generator().manual_seed(seed)
    weights = (3 * torch.randn(B, H, L, S, generator=generator)).softmax(dim=-1)
    start = 9 * torch.rand(B, L, generator=generator)
    end = start + 0.2 + 3 * torch.rand(B, L, generator=generator)
    missing = torch.rand(B, L, generator=generator) < 0.2
    emitted = torch.rand(B, L, generator=generator) < 0.7
    return weights, start.masked_fill(missing, -1), end.masked_fill(missing, -1), emitted


def test_a_position_partly_inside_counts_partly():
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(1, 1, 4, 4)
    start, end = segments((1, 3), (0.5, 2.25), (2.25, 2.75), (3, 99))
    expected = [0.2 + 0.3, 0.05 + 0.2 + 0.075, 0.15, 0.4]
    assert m.segment_mass(weights, start, end)[0, 0].tolist() == pytest.approx(expected)


def test_segment_mass_of_uniform_attention_is_the_segments_share():
    start, end = segments((0, 10), (2, 4.5), (9.9, 10))
    weights = torch.full((1, 3, 3, 10), 0.1)
    expected = torch.tensor([1, 0.25, 0.01], dtype=torch.float64).expand(1, 3, 3)
    assert_close(m.segment_mass(weights, start, end), expected)


@given(st.lists(st.tuples(st.floats(0, 12), st.floats(0, 12)), min_size=6, max_size=6))
def test_segment_mass_equals_a_fine_grid(pairs):
    pairs = [tuple(round(64 * x) / 64 for x in sorted(pair)) for pair in pairs]
    start, end = segments(*pairs)
    weights = random_case(B=1)[0]
    cell = weights.double().repeat_interleave(64, dim=-1) / 64  # cells of 1/64 position
    centre = (torch.arange(cell.shape[-1]) + 0.5) / 64
    inside = (start[..., None] <= centre) & (centre < end[..., None])
    expected = (cell * inside[:, None]).sum(dim=-1)
    expected = expected.masked_fill((end <= start)[:, None], NAN)
    assert_close(
        m.segment_mass(weights, start, end), expected, rtol=1e-6, atol=1e-6, equal_nan=True
    )


def test_error_is_the_way_from_the_argmax_to_the_segment():
    start, end = segments((2, 5), (2, 5), (2, 5), (2, 5), (0, 0.5))
    error = m.alignment_error(looking_at([2, 4, 5, 0, 0]), start, end, SECONDS)
    assert error[0, 0].tolist() == pytest.approx([0, 0, 20, 60, 0])


def test_offset_is_signed_and_from_centre_to_centre():
    start, end = segments((2, 5), (2, 5), (2, 5), (2.5, 3))
    offset = m.mean_offset(looking_at([3, 0, 9, 3]), start, end, SECONDS)
    assert offset[0, 0].tolist() == pytest.approx([0, -120, 240, 30])


def test_neighbouring_segments_share_no_position():
    S, boundary = 10, 4.5  # the centre of position 4 belongs to the segment that begins there
    start, end = segments((0, boundary), (boundary, S))
    hits = torch.stack(
        [m.retrieved(looking_at([position] * 2, S), start, end)[0, 0] for position in range(S)]
    )
    assert hits[:, 0].tolist() == [1.0] * 4 + [0.0] * 6
    assert_close(hits.sum(dim=1), torch.ones(S, dtype=torch.float64))


@given(st.floats(0, 9), st.floats(0.01, 0.99))
def test_a_segment_shorter_than_a_position_has_exactly_one(start, width):
    segment = segments((start, start + width))
    hits = [m.retrieved(looking_at([s], 11), *segment).item() for s in range(11)]
    assert sum(hits) == 1
    assert hits[math.floor(start + width / 2)] == 1


def test_tokens_without_a_segment_and_empty_rows_have_no_value():
    start, end = segments((-1, -1), (NAN, NAN), (3, 3), (2, 5), (2, 5))
    weights = looking_at([2, 2, 2, 2, 2])
    weights[..., 4, :] = 0.0
    missing = [True, True, True, False, True]
    assert m.segment_mass(weights, start, end)[0, 0].isnan().tolist() == missing
    assert m.alignment_error(weights, start, end, SECONDS)[0, 0].isnan().tolist() == missing
    assert m.mean_offset(weights, start, end, SECONDS)[0, 0].isnan().tolist() == missing
    assert m.retrieved(weights, start, end)[0, 0].isnan().tolist() == missing
    whole = torch.tensor([[-1, 2]]), torch.tensor([[-1, 5]])  # integers too
    assert m.retrieved(weights[..., :2, :], *whole)[0, 0].isnan().tolist() == [True, False]


def test_retrieval_score_counts_emitted_tokens_with_a_source():
    start, end = segments((0, 2), (2, 4), (4, 6), (6, 8), (-1, -1))
    diagonal, stuck = looking_at([1, 3, 5, 7, 9]), looking_at([3, 3, 3, 3, 3])
    weights = torch.cat([diagonal, stuck], dim=1)
    assert m.retrieval_score(weights, start, end).tolist() == [1, 0.25]
    emitted = torch.tensor([[True, True, False, False, True]])
    assert m.retrieval_score(weights, start, end, emitted).tolist() == [1, 0.5]
    assert m.retrieval_score(weights, start, end, ~emitted).tolist() == [1, 0]
    assert m.retrieval_score(weights, start, end, emitted & False).isnan().all()


def test_monotonicity_is_the_share_of_steps_that_do_not_go_back():
    weights = torch.cat([looking_at([0, 2, 2, 9]), looking_at([9, 5, 5, 6])])
    assert m.monotonicity(weights).flatten().tolist() == pytest.approx([1, 2 / 3])
    tokens = torch.tensor([[True, True, False, True], [False, True, True, True]])
    assert m.monotonicity(weights, tokens).flatten().tolist() == [1, 1]
    assert m.monotonicity(weights[..., :1, :]).isnan().all()


def test_padding_of_tokens_and_positions_changes_nothing():
    weights, start, end, emitted = random_case()
    more = torch.nn.functional.pad(weights, (0, 5, 0, 3))
    gone = torch.full((4, 3), -1.0)
    starts, ends = torch.cat([start, gone], dim=1), torch.cat([end, gone], dim=1)
    shown = torch.cat([emitted, gone == -1], dim=1)
    plain = streamed((weights, start, end, emitted), [4])
    padded = streamed((more, starts, ends, shown), [4])
    assert_same_table(padded.utterances(), plain.utterances())


def streamed(case, sizes):
    alignment = Alignment(seconds_per_position=SECONDS)
    for batch in zip(*(tensor.split(sizes) for tensor in case), strict=True):
        alignment.update(*batch)
    return alignment


def assert_same_table(ours, expected):
    # a deviation is the root of a difference: atol is the root of the rounding
    assert_frame_equal(pd.DataFrame(ours), pd.DataFrame(expected), rtol=1e-9, atol=1e-6)


def test_rows_are_the_means_of_the_metrics():
    weights, start, end, emitted = case = random_case()
    rows = {(row["metric"], row["head"]): row for row in streamed(case, [4]).rows()}
    offset = m.mean_offset(weights, start, end, SECONDS)
    expected = {
        "segment_mass": m.segment_mass(weights, start, end),
        "error_ms": m.alignment_error(weights, start, end, SECONDS),
        "offset_ms": offset,
        "absolute_offset_ms": offset.abs(),
    }
    for metric, values in expected.items():
        for head in range(2):
            known = values[:, head][start >= 0]
            assert rows[metric, head]["rows"] == len(known) == int((start >= 0).sum())
            assert rows[metric, head]["mean"] == pytest.approx(known.mean().item())
            assert rows[metric, head]["std"] == pytest.approx(known.std(correction=0).item())
    score = m.retrieval_score(weights, start, end, emitted)
    assert [rows["retrieved", head]["mean"] for head in range(2)] == pytest.approx(score.tolist())


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [3, 1], [2, 2]], ids=str)
def test_the_cut_into_batches_does_not_matter(sizes):
    whole, parts = streamed(random_case(), [4]), streamed(random_case(), sizes)
    assert_same_table(parts.rows(), whole.rows())
    assert_same_table(parts.utterances(), whole.utterances())


def test_sums_of_utterances_give_the_means_and_an_interval():
    alignment = streamed(random_case(B=30), [30])
    mean = next(row["mean"] for row in alignment.rows() if row["metric"] == "segment_mass")
    chosen = [
        row
        for row in alignment.utterances()
        if row["head"] == 0 and row["metric"] == "segment_mass"
    ]
    assert [row["utterance"] for row in chosen] == list(range(30))
    sums = torch.tensor([[row["sum"] for row in chosen]]).numpy()
    rows = torch.tensor([row["rows"] for row in chosen]).numpy()
    assert sums.sum() / rows.sum() == pytest.approx(mean)
    low, high = rate_interval(sums, rows, resamples=500, confidence=0.95)
    assert low < mean < high
    assert Alignment(seconds_per_position=SECONDS).utterances() == []


def test_a_planted_retrieval_head_is_found():
    weights, start, end, emitted = random_case(H=4, L=30, S=120)
    start, end = start * 10, end * 10
    source = ((start + end) / 2).clamp(min=0).long().clamp(max=119)
    weights[:, 2] = torch.eye(120)[source]
    alignment = streamed((weights, start, end, emitted), [4])
    assert alignment.retrieval_heads(threshold=0.5) == [2]
    best = [row for row in alignment.rows() if row["head"] == 2]
    means = {row["metric"]: row["mean"] for row in best}
    assert means["retrieved"] == 1
    assert means["error_ms"] == 0
