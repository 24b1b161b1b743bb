"""`cimsolve list`: what comes with cimsolve."""

from __future__ import annotations

from cimsolve.api import load_model
from cimsolve.chip.read import load_hardware
from cimsolve.cli.options.list import ListOptions
from cimsolve.files.library import shipped_hardware, shipped_models
from cimsolve.show.text.listing import print_shipped


def run(options: ListOptions) -> int:
    """Show shipped models and specs, strategies and objectives."""
    print_shipped([load_model(name) for name in shipped_models()], [load_hardware(name) for name in shipped_hardware()])
    return 0
