"""`cimsolve list`: what comes with cimsolve."""

from __future__ import annotations

from cimsolve.cli.parser import CommandOptions
from cimsolve.errors import EXIT_DONE


class Options(CommandOptions):
    about = "Show shipped models and hardware specs by the names that --model and --hw take, strategies and objectives."
    epilog = "example:\n  cimsolve list\n"


def run(options: Options) -> int:
    """Show shipped models and specs, strategies and objectives."""
    from cimsolve.chip.read import load_hardware
    from cimsolve.cli.question import DEFAULT_HARDWARE
    from cimsolve.files.library import shipped_hardware, shipped_models
    from cimsolve.model.load import load_model
    from cimsolve.show.text.listing import print_shipped

    models, hardware = map(load_model, shipped_models()), map(load_hardware, shipped_hardware())
    print_shipped(list(models), list(hardware), load_hardware(DEFAULT_HARDWARE))
    return EXIT_DONE
