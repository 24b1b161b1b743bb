"""`cimsolve list`: what comes with cimsolve."""

from __future__ import annotations

from cimsolve.api import load_model
from cimsolve.cli.options.list import ListOptions
from cimsolve.hardware import load_hardware
from cimsolve.library import shipped_hardware, shipped_models
from cimsolve.report.listing import print_shipped


def run(options: ListOptions) -> int:
    """Show shipped models and specs, strategies and objectives."""
    print_shipped([load_model(name) for name in shipped_models()], [load_hardware(name) for name in shipped_hardware()])
    return 0
