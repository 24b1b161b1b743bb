"""The commands. Each has a module of its name: `Options` says what may be asked, `run` does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from cimsolve.cli.parser import CommandOptions
from cimsolve.cli.places import demand_writable
from cimsolve.errors import InfeasibleError

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
    "choose": ("--model FOLDER [options]", "which structure for which matrix, under one budget of arrays"),
    "finetune": ("--weights FOLDER [options]", "factors trained until answers come near those of the dense weights"),
    "accuracy": ("--weights FOLDER [options]", "a real model run by mapped arrays, and what each step loses"),
    "hw": ("new|check|schema ...", "a hardware spec of your own: write a first one, look through it"),
    "list": ("", "shipped models and hardware specs, strategies, objectives"),
    "completion": ("bash|zsh|fish", "a script by which the shell completes words"),
}
"""First word -> (its arguments, what it does), for the help. Without one of them the command is `solve`."""
EXPLAINED = ("solve", "pareto", "sensitivity")
"""Commands of one question, of which `explain` says why it has no answer."""


def run_command(argv: Sequence[str]) -> int:
    """Do what `argv` asks for and return the exit code; what is heavy loads only once `argv` is sound.

    Raises CimsolveError, InputError among them for a wrong option and for a place that cannot be written; SystemExit
    once help or version is printed.
    """
    name, options = parse_command(argv)
    demand_writable(options.places)
    run: Callable[[CommandOptions], int] = import_module(f"cimsolve.cli.{name}").run
    try:
        return run(options)
    except InfeasibleError as error:
        if name not in EXPLAINED or error.is_final:
            raise
        raise InfeasibleError(f"{error}; `cimsolve explain` with the same question says what would do") from None


def parse_command(argv: Sequence[str]) -> tuple[str, CommandOptions]:
    """The command and its options. Raises as `run_command` does."""
    name, *words = argv if argv and argv[0] in COMMANDS else ("solve", *argv)
    return name, options_of(name).parse(words)


def options_of(command: str) -> type[CommandOptions]:
    """What may be asked of a command."""
    found: type[CommandOptions] = import_module(f"cimsolve.cli.{command}").Options
    return found


def listed_commands(commands: Mapping[str, tuple[str, str]]) -> str:
    """Words after `cimsolve`, their arguments, and what they do, for the help."""
    told = {f"{name} {words}".strip(): does for name, (words, does) in commands.items()}
    width = max(map(len, told)) + 2
    return "".join(["commands:\n", *(f"  cimsolve {words:<{width}}{does}\n" for words, does in told.items())])
