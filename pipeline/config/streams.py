"""What a command says and reads, wherever it runs: text is UTF-8, and an output that can't take its words undoes no work."""

import io
import locale
import os
import sys

OUTPUTS = ("stdout", "stderr")
ESCAPED = "backslashreplace"  # how a letter is written that an output's encoding lacks


def open_streams(*, work_goes_on: bool = False) -> None:
    """Let this process, and those that it starts, read and write files and their names as UTF-8, and say all that they have to say.

    In another locale the process begins anew, with its own words in that locale's encoding.
    work_goes_on: also when the reader of its words has gone, as in `… | head`."""
    if not sys.flags.utf8_mode and locale.getencoding().lower() != "utf-8":
        said_in = {"PYTHONIOENCODING": f"{locale.getencoding()}:{ESCAPED}"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], said_in | dict(os.environ) | {"PYTHONUTF8": "1"})
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # in place of a closed one, which the next file would take
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(OUTPUTS, 1):
        stream = getattr(sys, name) or open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)
            if work_goes_on:
                setattr(sys, name, _lasting(stream))


class _Lasting(io.FileIO):
    """Takes what is written also when nobody reads it any more."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(memoryview(data))  # type: ignore[arg-type]


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    raw = io.BufferedWriter(_Lasting(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, ESCAPED, line_buffering=stream.line_buffering, write_through=stream.write_through)
