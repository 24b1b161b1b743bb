"""How much memory there is, so that too much is refused before it is taken."""

from __future__ import annotations

import os
from pathlib import Path

from cimsolve.errors import InputError

_MEMINFO = Path("/proc/meminfo")


def available_bytes() -> int | None:
    """Memory that can be had without swapping; all there is where the system does not say; None where unknown."""
    try:
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            key, _, rest = line.partition(":")
            if key == "MemAvailable":
                return int(rest.split()[0]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def demand_memory(needed: int, what: str, advice: str) -> None:
    """Raise InputError where `what` needs more memory than there is."""
    there = available_bytes()
    if there is not None and needed > there:
        raise InputError(f"{what} needs about {_gib(needed)} GiB of memory, {_gib(there)} GiB are free; {advice}")


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"
