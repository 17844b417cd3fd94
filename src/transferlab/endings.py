"""How a command ends: with an exit code, and with a paragraph for whatever went wrong outside this program."""

from __future__ import annotations

import io
import os
import signal
import sys

import click

from transferlab.console import say
from transferlab.errors import UserError

DONE, SOME_FAILED, USER_ERROR, STOPPED = 0, 1, 2, 130


def invoked(app: click.Group) -> int:
    """Run the command that the arguments name; returns the exit code after telling what went wrong."""
    try:
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise UserError("standard output is closed", "standard output", "open it, or send it to a file")
        with app.make_context("transferlab", sys.argv[1:] or ["--help"]) as context:
            return app.invoke(context) or DONE
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        command = context.command_path if context else "transferlab"
        say(f"transferlab: {' '.join(error.format_message().split())} See {command} --help.")
        return USER_ERROR
    except UserError as error:
        say(f"transferlab: {error}")
        return USER_ERROR
    except (click.Abort, KeyboardInterrupt):
        exec("")  # CPython remembers an interruption within exec, as of a dataclass, and would end by SIGINT itself
        say("stopped; finished work is kept, and the same command goes on from there")
        return STOPPED
    except BrokenPipeError:  # the reader closed the pipe
        return 128 + signal.SIGPIPE
    except (Exception, SystemExit) as error:
        from transferlab.extensions import fault_of

        told: Exception | None = fault_of(error)
        if told is None and isinstance(error, SystemExit) and isinstance(error.code, int):
            return error.code
        if told is None and isinstance(error, OSError):
            told = _fault_of_system(error)
        if told is None:  # a mistake of ours
            raise
        say(f"transferlab: {told}")
        return USER_ERROR


def _fault_of_system(error: OSError) -> UserError:
    """An error of reading or writing, in words."""
    from transferlab.outcomes.files import UNREAD

    what = UNREAD.get(error.errno or 0) or str(error.strerror or error)
    where = str(error.filename or "a file or standard output")
    return UserError(
        f"reading or writing failed: {what}", where, "correct that, then repeat the command; finished work is kept"
    )


def flushed(code: int) -> int:
    """Write what waits for standard output, and forget it if that fails, so that Python does not try again at its end."""
    try:
        if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            return 128 + signal.SIGPIPE
        if code != USER_ERROR:  # else it has been told
            say(f"transferlab: {_fault_of_system(error)}")
        return USER_ERROR
    return code


def hold_standard_files() -> None:
    """Let no file of ours take the place of a closed standard one, and no odd letter end the output."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that does not know all letters shows their numbers
        sys.stdout.reconfigure(errors="backslashreplace")
