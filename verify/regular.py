"""Files that others may have put in a place: read if they are files, refused if not, never waited for.

Standard library only, Python 3.8+: the modules use it too (a link among their module_utils).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 64_000_000
"""Of a file that is read whole. conda's largest record of a package has a few million."""
_BLOCK = 1 << 18


class OddFileError(OSError):
    """Something else than a file stands in a file's place; the message says so, and what to do."""

    def __init__(self, place: Path, number: int) -> None:
        super().__init__(number, os.strerror(number), str(place))

    def __str__(self) -> str:
        return f"{self.filename} is no file ({self.strerror}). Needed: a file, or nothing, at that place. Move it away."


def content(place: Path, most: int | None = None) -> bytes:
    """All of a file. A link to one is followed, since users keep files of their own behind links.

    Args:
        place: the file.
        most: bytes that it may have; None for MAX_BYTES.

    Raises:
        FileNotFoundError: nothing is there.
        OddFileError: a pipe, a device, a folder or something larger is there.
        OSError: it cannot be read.
    """
    try:
        # Without waiting for the other end of a pipe.
        descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        # A socket's on Linux, and on macOS: open(2).
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):
            raise OddFileError(place, error.errno) from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OddFileError(place, errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL)
        found = b""
        while len(found) <= (MAX_BYTES if most is None else most):
            part = os.read(descriptor, _BLOCK)
            if not part:
                return found
            found += part
    finally:
        os.close(descriptor)
    raise OddFileError(place, errno.EFBIG)


def text(place: Path, errors: str = "strict") -> str:
    """The same, as text.

    Raises:
        UnicodeDecodeError: it is none.
    """
    return content(place).decode("utf-8", errors)
