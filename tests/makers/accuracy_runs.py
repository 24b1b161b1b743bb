"""A tiny model measured: the question, and the command that asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cimsolve.chip.read import load_hardware
from cimsolve.study.accuracy import AccuracyQuestion

SMALL: dict[str, Any] = {"samples": 300, "test_tokens": 30, "calibration_tokens": 20, "blocks": (2, 2), "bits": (2,)}
OPTIONS = {
    "--samples": "300",
    "--test-tokens": "30",
    "--calibration-tokens": "20",
    "--blocks": "2,2",
    "--compression": "1.5",
    "--bits": "2",
}


def run(*words: str) -> list[str]:
    """The command on the folder `tiny`, small unless `words` say otherwise."""
    weights = [] if "--weights" in words else ["--weights", "tiny"]
    small = [word for option, value in OPTIONS.items() if option not in words for word in (option, value)]
    return ["accuracy", *weights, *small, *words]


def question(**changes: Any) -> AccuracyQuestion:
    return AccuracyQuestion(
        folder=Path("tiny"), **{"hardware": load_hardware("rram256"), "compressions": (1.5,), **SMALL, **changes}
    )
