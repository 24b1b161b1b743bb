"""The ways to replay and to simulate, which the command line needs before anything heavy is imported."""

from __future__ import annotations

from typing import Literal, get_args

Controller = Literal["paced", "oldest", "burst"]
CONTROLLERS: tuple[Controller, ...] = get_args(Controller)
SharedUnits = Literal["apart", "together"]
GAPS: tuple[SharedUnits, ...] = get_args(SharedUnits)

WeightScale = Literal["column", "tensor"]
Scale = Literal["token", "tensor"]
Range = Literal["full", "calibrated"]
Pairs = Literal["converted", "subtracted"]
Kernel = Literal["auto", "numpy", "numba"]
CONVERTER_BITS_MAX = 24
