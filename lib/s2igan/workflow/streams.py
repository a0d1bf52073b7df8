"""Standard output and error that can be closed, full or of another encoding without a traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TextIO

from s2igan.workflow.interrupts import stop

BROKEN_PIPE = 141  # what a shell says of a process that SIGPIPE ended


class Output(io.TextIOWrapper):
    """A text stream that ends this process, and what it started, when nothing can be written to it any more.

    A reader that has left, as in `| head -1`, is no fault and gets no line. Characters that the encoding lacks are
    written as escapes.
    """

    def write(self, text: str) -> int:
        """As io.TextIOWrapper."""
        try:
            return super().write(text)
        except OSError as error:
            self._end(error)
            raise

    def flush(self) -> None:
        """As io.TextIOWrapper."""
        try:
            super().flush()
        except OSError as error:
            self._end(error)
            raise

    def _end(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:
            stop(BROKEN_PIPE)
        if self is sys.stdout:
            with contextlib.suppress(OSError):
                os.write(2, f"error: cannot write to the standard output: {os.strerror(error.errno or 0)}\n".encode())
        stop(2)


def patient(stream: TextIO | None) -> TextIO:
    """`stream` as an `Output`; for None, which Python has for a closed one, a stream into nothing."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # for as long as the process lives
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    encoding, buffered = stream.encoding, stream.line_buffering
    return Output(stream.detach(), encoding, "backslashreplace", line_buffering=buffered, write_through=True)


def make_patient() -> None:
    """Replaces this process's standard output and error by such streams."""
    sys.stdout, sys.stderr = patient(sys.stdout), patient(sys.stderr)
