"""The methods of projection, which the command line needs before anything heavy is imported."""

from __future__ import annotations

METHODS = ("plain", "whitened", "als", "lowrank")
CALIBRATED = ("whitened", "als")
"""Methods that need inputs; `lowrank` uses them if it has them."""

SAMPLES_DEFAULT = 4096
"""Most tokens of the texts that linears' inputs are taken from."""
