"""Files that a process holds while it works. The system lets go of them when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from .config import invalid

# struct flock of Linux on 64-bit machines: type, whence, start, length, process.
_FLOCK = "@hhqqi4x"


@contextlib.contextmanager
def hold(path: Path, what: str) -> Iterator[None]:
    """Holds a file, which gets the process's number for people to read. Raises Error when another process holds it."""
    with open(path, "a+", encoding="ascii") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise invalid(f"{what} runs already, in process {holder(path)}") from None
        file.truncate(0)
        print(os.getpid(), file=file, flush=True)
        yield


def holder(path: Path) -> int | None:
    """The process that holds a file. It must not be the caller: closing the file would let go of it."""
    try:
        file = open(path, "r+b")
    except FileNotFoundError:
        return None
    with file:
        kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)))
    return None if kind == fcntl.F_UNLCK else process
