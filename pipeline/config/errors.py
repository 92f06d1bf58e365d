"""Errors with a message for users, and the exit codes that the shell, DVC and a cluster see: those of sysexits.h where one fits."""

import errno

DISK_FULL, NOT_ALLOWED, UNEXPECTED = 73, 77, 1


class PipelineError(Exception):
    """An error whose message is all that a user needs: what is wrong, where, what was expected, what came, what to do."""

    exit_code = 1


class DataError(PipelineError):
    """The images are not what the config says, or can't be trained on."""

    exit_code = 65


class NetworkError(PipelineError):
    """A source or a store could not be reached."""

    exit_code = 69


class DivergedError(PipelineError):
    """The loss became infinite, NaN, or far too large."""

    exit_code = 70


class BusyError(PipelineError):
    """Another process writes the same outputs."""

    exit_code = 75


class RankError(PipelineError):
    """One of the processes of a distributed training has ended; so do the others.

    then: what the same command would do."""

    def __init__(self, what: str, exit_code: int = 1) -> None:
        super().__init__(what)
        self.exit_code = exit_code
        self.then = "the same command resumes from the last checkpoint, or starts again"

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.then}"


class ConfigError(PipelineError):
    """An invalid config key, value or combination.

    key: the dotted key at fault, or group=option for a choice; pipeline/config/locate.py finds where it stands."""

    exit_code = 78

    def __init__(self, message: str = "", key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class Stopped(BaseException):
    """A signal asked this process to end; no Exception, so that no library swallows it.

    then: what that means for the work."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.then = "nothing of it counts as done, the same command starts again"
        self.exit_code = 128 + signal_number


class Settled(BaseException):
    """A sweep needs no training here, or none any more; no Exception, so that nothing takes it for a failure.

    The message is the reason, for the run's tag."""


def verdict(error: BaseException) -> tuple[int, str]:
    """Return the exit code of a process that ends with this error, and the reason in one line."""
    if isinstance(error, Stopped):
        return error.exit_code, f"{error}; {error.then}"
    if isinstance(error, PipelineError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f"{error.filename} " if error.filename else ""
        return DISK_FULL, f"the disk is full: {where}{error.strerror}; free some space and repeat"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "give this user the right to read and write in the project, or work in a copy of it (`git clone`)"
        return NOT_ALLOWED, f"{error.filename or 'a file'}: {error.strerror}; {remedy}"
    words = f"unexpected {type(error).__name__}: {error}. This is a fault of the pipeline; the lines above say where"
    return UNEXPECTED, words


def is_unexpected(error: BaseException) -> bool:
    """Tell whether the error is a bug, so that its traceback is needed."""
    return not isinstance(error, (Stopped, PipelineError)) and verdict(error)[0] == UNEXPECTED
