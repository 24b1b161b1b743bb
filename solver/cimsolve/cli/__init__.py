"""The commands. For each, `options/` says what was asked and `commands/` does it, in a module of its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from cimsolve.cli.places import demand_writable

COMMANDS = {
    "pareto": ("[options]", "the front of arrays against latency, prefill, II and energy"),
    "compare": ("[A.json B.json] [options]", "strategies, specs and models side by side; or two solution files"),
    "sensitivity": ("[options]", "whether a comparison holds on other converters, their wiring and timing"),
    "sweep": ("[STUDY.json] [options]", "a grid of questions, each solved once, and its front"),
    "explain": ("[FILE] [options]", "why this latency and array count, and what a change would buy"),
    "check": ("FILE...", "verify solution files and recompute their figures"),
    "replay": ("FILE...", "replay solution files by discrete events, beside the equations"),
    "report": ("FILE...", "show solutions: one HTML page, charts as files, a trace of the schedule"),
    "simulate": ("FILE...", "run the arrays of solution files with noise, and show what it takes"),
    "project": ("--model FOLDER [options]", "real weights to block-diagonal factors, and what that loses"),
    "accuracy": ("--weights FOLDER [options]", "a real model run by mapped arrays, and what each step loses"),
    "hw": ("new|check|schema ...", "a hardware spec of your own: write a first one, look through it"),
    "list": ("", "shipped models and hardware specs, strategies, objectives"),
    "completion": ("bash|zsh|fish", "a script by which the shell completes words"),
}
"""First word -> (its arguments, what it does), for the help. Without one of them the command is `solve`."""


def run_command(argv: Sequence[str]) -> int:
    """Do what `argv` asks for and return the exit code; what is heavy loads only once `argv` is sound.

    Raises CimsolveError, InputError among them for a wrong option and for a place that cannot be written; SystemExit
    once help or version is printed.
    """
    name, options = parse_command(argv)
    demand_writable(getattr(options, "places", ()))
    run: Callable[[object], int] = import_module(f"cimsolve.cli.commands.{name}").run
    return run(options)


def parse_command(argv: Sequence[str]) -> tuple[str, object]:
    """The command and its options. Raises as `run_command` does."""
    words = list(argv)
    name, words = (words[0], words[1:]) if words and words[0] in COMMANDS else ("solve", words)
    return name, import_module(f"cimsolve.cli.options.{name}").parse(words)
