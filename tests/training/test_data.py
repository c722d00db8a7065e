"""Prefetching: order, errors, an end."""

import threading
from itertools import count

import pytest

from focused_attention.training.data import prefetched


def test_order_and_end():
    assert list(prefetched(range(20), lambda x: x * x)) == [x * x for x in range(20)]


def test_an_error_in_the_thread_reaches_the_caller():
    batches = prefetched(count(), lambda x: 1 // (3 - x))
    assert [next(batches) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_closing_ends_the_thread():
    batches = prefetched(count(), lambda x: x)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]
