"""`cimsolve list`: what comes with cimsolve.

Of shipped files it shows what `python -m cimsolve.cli.list > solver/cimsolve/files/catalogue.json` has found in them:
to read them all takes seconds, as a mixture has tens of thousands of experts.
"""

from __future__ import annotations

import json
from typing import Any

from cimsolve.cli.parser import CommandOptions
from cimsolve.errors import EXIT_DONE


class Options(CommandOptions):
    about = "Show shipped models and hardware specs by the names that --model and --hw take, strategies and objectives."
    epilog = "example:\n  cimsolve list\n"


def run(options: Options) -> int:
    """Show shipped models and specs, strategies and objectives."""
    from cimsolve.files.library import shipped_catalogue
    from cimsolve.show.text.shipped import print_shipped

    print_shipped(shipped_catalogue())
    return EXIT_DONE


def found_catalogue() -> dict[str, Any]:
    """What the shipped files say: models, with the arrays that they take dense in tiles, and specs in words."""
    from cimsolve.chip.read import load_hardware
    from cimsolve.cli.question import DEFAULT_HARDWARE
    from cimsolve.files.library import shipped_hardware, shipped_models
    from cimsolve.model.load import load_model
    from cimsolve.show.text.question import describe_arrays, describe_converters

    default = load_hardware(DEFAULT_HARDWARE)
    models = [
        {
            "name": model.name,
            "family": model.family,
            "linears": len(model.linears),
            "weights": model.weight_count,
            "weights_a_token": model.active_weight_count,
            "arrays": sum(default.tiles(linear.n_in, linear.n_out) for linear in model.linears),
            "tokens": model.tokens,
        }
        for model in map(load_model, shipped_models())
    ]
    specs = map(load_hardware, shipped_hardware())
    hardware = {spec.name: f"{describe_arrays(spec)}; {describe_converters(spec)}" for spec in specs}
    return {"arrays_of": default.name, "models": models, "hardware": hardware}


if __name__ == "__main__":
    print(json.dumps(found_catalogue(), indent=1))
