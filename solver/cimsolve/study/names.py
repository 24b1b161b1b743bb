"""The names and defaults of studies, which the command line needs before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from cimsolve.weights.names import METHODS

WhenShort = Literal["refuse", "rounds", "chips"]
WHEN_SHORT: tuple[WhenShort, ...] = get_args(WhenShort)
"""What can be done where arrays are short."""
REFUSE = WHEN_SHORT[0]

WHAT_IFS: Mapping[str, str] = {
    "again": "the same, solved again",
    "adc+1": "one more converter an array",
    "array+1": "one more array",
    "arrays+1%": "1 % more arrays",
    "bit+1": "one more converter bit",
    "bit-1": "one converter bit less",
    "sample-hold": "sample and hold",
    "digital-x2": "twice the digital units",
    "transfer-x2": "twice the transfer rate",
    "port-x2": "twice the rate of the hub's port",
    "hub-place": "the hub in the middle of the mesh, or at the edge if it is not there",
    "core-x2": "twice the arrays a core, on half the places",
    "tree": "links that carry what goes to several cores once",
    "banks-x2": "twice the banks of the memory",
}
"""Name -> what it means. `again` tells the change from what merely another search finds."""

RUN_WHAT_IFS: Mapping[str, str] = {
    "batch-x2": "batches twice as large",
    "load-x2": "twice the rate of the load link",
    "write-x2": "rows written in half the time",
    "link-x2": "twice the rate of links between chips",
    "chip+1": "one more chip",
    "array+1": "one more array a chip",
}
"""The same of answers in rounds and on chips in a row."""

OF_NETWORKS = ("transfer-x2", "port-x2", "hub-place", "core-x2", "tree")
"""Changes that are tried unasked on chips with a network alone."""
OF_MEMORIES = ("banks-x2",)
"""Changes that are tried unasked on chips with a memory alone."""

DENSE, FACTORS = "dense", "factors"
ACCURACY_METHODS = (DENSE, *METHODS)
"""`dense` stores the weights as they are, each of the others as factors."""

COMPRESSIONS_DEFAULT = (3.0, 7.0)
BLOCKS_DEFAULT = (4, 4)
BITS_DEFAULT = (8, 6, 5)
TEST_TOKENS_DEFAULT = 512
CALIBRATION_TOKENS_DEFAULT = 64

ALONE = "alone"
"""Losses measured with one linear stored otherwise and all others as they are."""
TWO_SIDED = "two-sided"
"""Losses by inputs and gradients of decoders."""
LOSSES = (TWO_SIDED, ALONE)
CHOICE_SAMPLES_DEFAULT = 32768
LOSS_TOKENS_DEFAULT = 2048
CHOICE_AXES = ("arrays", "latency", "energy")
FRONT_DEFAULT = (1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0)
"""Times fewer arrays than the cells of dense weights take."""

DEVICES = ("cpu", "cuda")
STEPS_DEFAULT, BATCH_DEFAULT = 500, 1024
LAYERWISE_DEFAULT, RATE_DEFAULT = 0.2, 1e-3
TUNE_SAMPLES_DEFAULT, TUNE_TEST_TOKENS_DEFAULT = 1 << 18, 2048
