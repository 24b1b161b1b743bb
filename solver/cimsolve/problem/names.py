"""The names of what may be cut, which the command line needs before anything heavy is imported."""

from __future__ import annotations

from typing import Literal, get_args

Cut = Literal["none", "columns", "both"]
CUTS: tuple[Cut, ...] = get_args(Cut)
