"""Signals end a command wherever they find it."""

from __future__ import annotations

import signal
import time

import pytest

from cimsolve.study.interrupts import interrupted_exit_code, signals_heard


class Interrupted:
    """A signal comes while this is destroyed, where Python ignores exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def destroy_and_go_on(kind: type, seconds: float = 5) -> None:
    made = kind()
    del made
    time.sleep(seconds)


def test_a_signal_that_comes_in_a_destructor_is_heard_when_that_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with signals_heard():
        with pytest.raises(KeyboardInterrupt):
            destroy_and_go_on(Interrupted)
        assert interrupted_exit_code() == 143
    assert capsys.readouterr().err == ""


class Broken:
    """Its destructor fails."""

    def __del__(self) -> None:
        raise ZeroDivisionError


def test_other_exceptions_there_are_reported_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: found.append(unraisable.exc_type))
    with signals_heard():
        destroy_and_go_on(Broken, seconds=0)
    assert found == [ZeroDivisionError]
