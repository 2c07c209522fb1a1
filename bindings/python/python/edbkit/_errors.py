"""Errors and warnings. They can be pickled: Spark sends what its workers raise."""

from __future__ import annotations


class Error(Exception):
    """Why a call could not do its work.

    ``exit_code`` is what a program of edbkit would end with (docs/exit-codes.md), ``jet`` and ``jet_name`` the engine's
    number and its name, where it has one, ``advice`` what to do about it, ``reason`` a name for programs.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        advice: str | None = None,
        jet: int | None = None,
        jet_name: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, advice, jet, jet_name, reason)
        self.message = message
        self.advice = advice
        self.jet = jet
        self.jet_name = jet_name
        self.reason = reason

    def __str__(self) -> str:
        jet = f" [JET {self.jet} (JET_err{self.jet_name})]" if self.jet is not None else ""
        advice = f"\n  {self.advice}" if self.advice else ""
        return f"{self.message}{jet}{advice}"


class FindingError(Error):
    """Something is wrong with the data: it cannot give a result."""

    exit_code = 1


class UsageError(Error):
    """What was asked for makes no sense: no such table, no such column."""

    exit_code = 2


class ReadError(Error):
    """The operating system could not read or write."""

    exit_code = 3


class NotEseError(Error):
    """Not an ESE file, or of a version that is not supported."""

    exit_code = 4


class RefusedError(Error):
    """Doing it would do harm, or the logs do not allow it."""

    exit_code = 5


class InterruptedError(Error):  # noqa: A001 - the name of the exit code
    """It was stopped before its end."""

    exit_code = 6


class LossWarning(UserWarning):
    """Something could not be read. ``losses`` and ``problems`` of a scan say what."""


class DirtyWarning(LossWarning):
    """A dirty database was opened without its logs: rows may be missing, or be there although they were taken back."""
