"""The command line: `cimsolve`, or `python -m cimsolve`.

Nothing heavy is imported before the arguments are known to be sound: help and usage errors answer at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import sys
from collections.abc import Sequence

from cimsolve.errors import EXIT_FAILED, CimsolveError
from cimsolve.files.text import message_line
from cimsolve.study.interrupts import interrupted_exit_code, signals_heard

STDOUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EBADF)
"""What writing to a full device, a lost terminal or a closed descriptor raises."""
EXIT_BROKEN_PIPE = 141
"""What shells report for a process that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; arguments default to those of the process."""
    # Threads of OpenBLAS spin: on the small products here they only cost time. Read when numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # a closed one has no object: nobody reads what is written
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  open to the end
        elif hasattr(stream, "reconfigure"):  # names may hold characters that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    with signals_heard():
        try:
            code = _run(sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt:
            _complain("interrupted")
            code = interrupted_exit_code()
        if argv is None:
            _forget_interrupt()
    if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a late Ctrl-C finds the interpreter ending: no traceback of that
    return code


def _run(argv: Sequence[str]) -> int:
    """The exit code of a command, whose errors are told. Raises KeyboardInterrupt alone."""
    try:
        code = _exit_code(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            _complain("error: no more files can be opened; allow more (ulimit -n) or use fewer --jobs")
            return EXIT_FAILED
        if error.filename is not None or error.errno not in STDOUT_ERRORS:
            raise
        _drop_output()
        _complain(f"error: the output cannot be written ({error.strerror}); solution files are as `check` finds them")
        return EXIT_FAILED
    except CimsolveError as error:
        _complain(f"error: {message_line(str(error))}")
        return error.exit_code
    except MemoryError:
        _complain("error: out of memory; try a smaller model, one strategy or --simulate none")
        return EXIT_FAILED
    return code


def _exit_code(argv: Sequence[str]) -> int:
    from cimsolve.cli import run_command  # Ctrl-C is heard by now

    try:
        return run_command(argv)
    except SystemExit as stop:  # argparse has printed the help or the version
        return int(stop.code or 0)


def _forget_interrupt() -> None:
    """Let the interpreter exit with the code that it is given.

    Where KeyboardInterrupt has passed through code that an extension module runs, as while it is loaded, CPython ends
    itself by SIGINT in place of that, until it runs some other code for C.
    """
    with contextlib.suppress(AttributeError):
        ctypes.pythonapi.PyRun_SimpleString(b"")


def _complain(text: str) -> None:
    """One line on stderr; where that is closed there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"cimsolve: {text}\n")
        sys.stderr.flush()


def _drop_output() -> None:
    """Let the interpreter flush what is left of stdout into nothing, as its reader has gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
