"""A block of a test that may take only so much memory."""

from __future__ import annotations

import tracemalloc


class bounded_memory:
    """What runs inside allocates at most `limit` bytes at once."""

    def __init__(self, limit: int = 300 * 2**20) -> None:
        self.limit = limit

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, *_: object) -> None:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < self.limit, f"{peak} bytes"
