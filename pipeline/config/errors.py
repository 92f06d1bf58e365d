"""What can go wrong for a user, each with the exit code that the shell, DVC and a cluster see."""

import errno

DISK_FULL, NOT_ALLOWED, UNEXPECTED = 73, 77, 1


class PipelineError(Exception):
    """An error whose message is all that a user needs: what, where, expected, received, what to do."""

    exit_code = 1


class DataError(PipelineError):
    """The images are not what the config says, or can't be trained on."""

    exit_code = 65


class NetworkError(PipelineError):
    """A source or a store could not be reached."""

    exit_code = 69


class DivergedError(PipelineError):
    """The loss left the finite or the sensible range."""

    exit_code = 70


class BusyError(PipelineError):
    """Another process writes the same outputs."""

    exit_code = 75


class RankError(PipelineError):
    """One of the processes that train together has ended; so do the others.

    then: what the same command would do."""

    def __init__(self, what: str, exit_code: int = 1) -> None:
        super().__init__(what)
        self.exit_code = exit_code
        self.then = "the same command goes on after the last checkpoint, or starts again"

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.then}"


class ConfigError(PipelineError):
    """A config key, value or combination that can't work.

    key: the dotted key at fault, or group=option for a choice; pipeline/config/origin.py finds where it stands."""

    exit_code = 78

    def __init__(self, message: str = "", key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class Stopped(BaseException):
    """A signal asked this process to end; not an Exception, so that no library swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.then = "nothing of it counts as done, the same command starts again"
        self.exit_code = 128 + signal_number


def verdict(error: BaseException) -> tuple[int, str]:
    """Return the exit code of what ends by this error, and the reason in a line."""
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
    """Tell whether only a traceback says what went wrong."""
    return not isinstance(error, (Stopped, PipelineError)) and verdict(error)[0] == UNEXPECTED
