"""Opening a file that somebody hostile may have put there."""

import os
import stat
from pathlib import Path
from typing import IO


def open_plain(path: str | Path, *, directory: int | None = None) -> IO[bytes]:
    """Open a plain file to read it.

    Parameters
    ----------
    path
        Where it lies.
    directory
        Descriptor of the folder that a relative path begins at.

    Raises
    ------
    OSError
        It is missing, a link, or something else that is no plain file.
    """
    # Without O_NONBLOCK a FIFO under that name would hold the reader for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("It is no plain file.")
    return os.fdopen(descriptor, "rb")
