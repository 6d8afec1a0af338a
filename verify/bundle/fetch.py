"""Fetching files so that they are whole or not there, and going on where an earlier run was cut off."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from ..errors import UserError

_BLOCK = 1 << 20
_TIMEOUT_S = 60
_ATTEMPTS = 3
_RANGE_IGNORED, _RANGE_BEYOND = 200, 416


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Read a page.

    Raises:
        UserError: it cannot be had, after several attempts.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with _open(url, headers or {}) as answer:
                content: bytes = answer.read()
                return content
        except (OSError, http.client.HTTPException) as error:
            if attempt == _ATTEMPTS - 1 or _is_final(error):
                raise UserError(f"{url} cannot be fetched: {error}. Is the network up? Run again.") from error
    raise AssertionError


def fetch(url: str, target: Path, digest: str, headers: Mapping[str, str] | None = None) -> bool:
    """Have a file; what is there already is used, what is there in part is completed.

    Args:
        url: where it is.
        target: where it goes. While it is not whole it lies beside, with `.part` at its name's end.
        digest: its SHA-256, hexadecimal.
        headers: of the request; they do not go along to another host that the address sends to.

    Returns:
        whether anything was fetched.

    Raises:
        UserError: it cannot be had, or is another file than the digest's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    if target.is_symlink() or part.is_symlink():
        raise UserError(f"{target} or {part.name} beside it is a link. Nothing is written through links; remove it.")
    if target.exists() and sha256(target) == digest:
        return False
    for attempt in range(_ATTEMPTS):
        try:
            _complete(url, part, headers or {})
            break
        except (OSError, http.client.HTTPException) as error:
            if attempt == _ATTEMPTS - 1 or _is_final(error):
                raise UserError(
                    f"{url} cannot be fetched: {error}. Is the network up, is there room in {target.parent}? What is "
                    "there stays; run again to go on."
                ) from error
    if (found := sha256(part)) != digest:
        part.unlink()
        raise UserError(
            f"{url} is not the file that is wanted: its SHA-256 is {found}, expected was {digest}. It was thrown away. "
            "If a mirror altered it, repair the mirror, then run again."
        )
    part.rename(target)
    return True


def _complete(url: str, part: Path, headers: Mapping[str, str]) -> None:
    have = part.stat().st_size if part.exists() else 0
    ranged = {**headers, "Range": f"bytes={have}-"} if have else headers
    try:
        answer = _open(url, ranged)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_BEYOND:  # whole already, or larger than it should be: its digest tells
            return
        raise
    with answer, part.open("wb" if answer.status == _RANGE_IGNORED else "ab") as file:
        expected = file.tell() + int(answer.headers.get("Content-Length", 0))
        while block := answer.read(_BLOCK):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        if file.tell() < expected:
            raise OSError(f"only {file.tell()} of {expected} bytes came")


def _open(url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    request = urllib.request.Request(url)  # noqa: S310 (a folder's file: address is meant too)
    for name, value in headers.items():
        # A registry's token is not for the host that it sends to.
        request.add_unredirected_header(name, value) if name == "Authorization" else request.add_header(name, value)
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    return answer


def _is_final(error: Exception) -> bool:
    """An answer that another attempt does not change."""
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500  # noqa: PLR2004  # of the client
