"""Batches rendered ahead of the training loop, in a thread of their own."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from typing import TypeVar

Plan = TypeVar("Plan")
Item = TypeVar("Item")


def prefetched(
    plans: Iterable[Plan], render: Callable[[Plan], Item], ahead: int = 4
) -> Iterator[Item]:
    """`render(plan)` of every plan in order, up to `ahead` of them before they are asked for.

    An exception in the thread is raised in the caller. Closing the iterator ends the thread.
    """
    queue: Queue = Queue(maxsize=ahead)
    closed = threading.Event()

    def work() -> None:
        try:
            for plan in plans:
                queue.put((render(plan), None))
                if closed.is_set():
                    return
            queue.put((None, StopIteration()))
        except BaseException as error:
            queue.put((None, error))

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        closed.set()
        while thread.is_alive():
            while not queue.empty():
                queue.get_nowait()
            thread.join(timeout=0.05)
