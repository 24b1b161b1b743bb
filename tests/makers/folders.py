"""Where the checkout and its parts lie."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
WEIGHTS = ROOT / "weights"
"""Real weights, fetched by `make weights`."""
