"""`cimsolve completion`: what makes a shell complete the words of a command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser
from cimsolve.cli.values import one_of

SHELLS = ("bash", "zsh", "fish")

_EPILOG = """\
The script is static: write it where your shell looks for such scripts, once per version of cimsolve.

examples:
  cimsolve completion bash > ~/.local/share/bash-completion/completions/cimsolve
  cimsolve completion zsh > ~/.zfunc/_cimsolve
  cimsolve completion fish > ~/.config/fish/completions/cimsolve.fish
"""


@dataclass(frozen=True)
class CompletionOptions:
    """`cimsolve completion`: the script for one shell."""

    shell: str


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve completion",
        description="Print the script by which a shell completes commands, options, names and files.",
        epilog=_EPILOG,
    )
    parser.add_argument("shell", type=one_of(SHELLS), metavar="SHELL", help="bash, zsh or fish")
    return parser


def parse(arguments: Sequence[str]) -> CompletionOptions:
    return CompletionOptions(make_parser().parse_known(arguments).shell)
