"""The report of `cimsolve simulate`."""

from __future__ import annotations

import math
from typing import Any

from cimsolve.judge.simulate import Noise, Study
from cimsolve.judge.simulate.effects import TOGETHER
from cimsolve.problem.plan import AnyHeader
from cimsolve.problem.solution import Header
from cimsolve.show.as_json import picked
from cimsolve.show.figures import subject, subject_text
from cimsolve.show.text.console import heading, indented, line, print_table
from cimsolve.show.units import plural

SIMULATE_FORMAT = "cimsolve-simulation/1"


def print_study(name: str, header: Header | AnyHeader, found: Study, verbosity: int, *, real_weights: bool) -> None:
    """One file: what is left of the signal, and what each effect alone takes of it."""
    overall = found.overall()
    verdict = "exact"
    if overall.mismatches:
        least = decibels(found.worst_stage().deviation.snr_db)
        verdict = f"signal to noise {decibels(found.median_db())} in the median stage, {least} in the worst, dB"
    line(f"{name}: ", (verdict, "bold"), f" ({subject_text(header)})")
    if verbosity < 0:
        return
    indented(
        f"{plural(len(found.layers), 'layer')}, {plural(found.vectors, 'random input vector')}, "
        f"{'real' if real_weights else 'random'} weights, seed {found.seed}; "
        f"{found.seconds:.1f} s by {' and '.join(found.kernels)}"
    )
    indented(converters(found))
    indented(noise_words(found.noise))
    rows = []
    for effect in found.stages:
        worst = found.worst_stage(effect)
        where = worst.name if worst.deviation.mismatches else "-"
        rows.append([effect, decibels(found.median_db(effect)), decibels(worst.deviation.snr_db), where])
    heading("Signal to noise of a stage's outputs, each effect alone, dB")
    print_table(["effect", "median", "worst", "the worst stage"], rows, words_last=True)
    indented("Noise alone meets converters that neither round nor clip. Contributions need not add.")
    if verbosity > 0:
        _print_stages(found)


def _print_stages(found: Study) -> None:
    heading("Signal to noise by stage, dB")
    effects = list(found.stages)
    rows = [
        [stage.name, *(decibels(found.stages[effect][index].deviation.snr_db) for effect in effects)]
        for index, stage in enumerate(found.stages[TOGETHER])
    ]
    titles = [effect.replace(" ", "\n").replace("_", "_\n") for effect in effects]
    print_table(["stage", *titles], rows, tight=True)


def converters(found: Study) -> str:
    """The converters in one line."""
    settings = found.settings
    bits = settings["adc_bits_max"]
    words = ["converters of the solution's bits" if bits is None else f"converters of at most {plural(bits, 'bit')}"]
    words.append(f"{settings['adc_range']} range")
    if settings["pairs"] == "subtracted":
        words.append("pairs subtracted before them, which time and energy of the solution do not count")
    words.append("lossless" if found.lossless else "lossy: they lack codes for some sums")
    return ", ".join(words)


def noise_words(noise: Noise) -> str:
    """Every non-ideality that is on, by name."""
    ideal = vars(Noise())
    on = [f"{name}={value:g}" for name, value in vars(noise).items() if value != ideal[name]]
    return f"noise: {', '.join(on) or 'none'}"


def decibels(value: float) -> str:
    """A ratio as text, one digit after the point; `exact` where there are no errors."""
    return "exact" if value == math.inf else f"{value:.1f}"


def describe_study(header: Header | AnyHeader, found: Study) -> dict[str, Any]:
    """What a study of one file found, as plain data; where nothing is lost `snr_db` is null."""
    names = ("outputs", "mismatches", "relative_error", "snr_db")
    return {
        **subject(header),
        **picked(found, "layers", "vectors", "seed", "noise", "lossless", "kernels"),
        **found.settings,
        "effects": {
            effect: {
                "median_db": found.median_db(effect),
                "worst_db": found.worst_stage(effect).deviation.snr_db,
                "worst_stage": found.worst_stage(effect).name,
                "stages": {stage.name: picked(stage.deviation, *names) for stage in stages},
            }
            for effect, stages in found.stages.items()
        },
        "runtime_s": round(found.seconds, 3),
    }
