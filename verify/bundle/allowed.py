"""What others wrote and we build on: each kind of word has a form, and what has another one is refused.

An index's pages, Homebrew's API, a channel's records and a bundle's own account of itself come from somewhere else.
Whatever of them goes into a path, an address, a configuration or a message comes by here first. Ansible's filters use
it, which have to load where none of the project's requirements are: the standard library is all that it needs.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import UserError

PARTS = (
    "index", "conda", "homebrew-api", "homebrew-bottles", "homebrew-git", "miniforge", "python", "command-line-tools",
)  # fmt: skip
"""What a cache or a bundle can hold."""
MAX_ORIGINS = 8
"""Hosts over which an index may spread its files."""
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/+=-]*)?"
)
# A name of the public internet: what a page names is none of the lab's own machines, nor a number in its place.
_ELSEWHERE = re.compile(r"https://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_OF_A_LAB = ("localhost", "local", "internal", "lan", "home", "corp", "test", "invalid", "arpa")
_PLATFORM = re.compile(r"[a-z0-9]{1,20}-[a-z0-9_]{1,20}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9@:._+!=-]{0,254}")


@dataclass(frozen=True)
class About:
    """What a cache or a bundle says of itself.

    Attributes:
        holds: its parts, of PARTS.
        locks: for a bundle, by platform the digest of the lock that it was made for.
    """

    holds: frozenset[str]
    locks: dict[str, str]


def about(text: str) -> About:
    """Read what a cache answers, or a bundle's bundle.json.

    Raises:
        UserError: it is something else.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"it is not JSON: {error}"[:200]) from error
    if not isinstance(data, dict) or not isinstance(data.get("holds"), list) or not isinstance(data.get("locks"), dict):
        raise UserError("it does not say what it holds, and for which locks")
    if unknown := [part for part in data["holds"] if part not in PARTS]:
        raise UserError(f"it holds something unknown: {str(unknown[0])[:40]!r}")
    for platform, lock in data["locks"].items():
        if not _PLATFORM.fullmatch(platform) or not isinstance(lock, str) or not _DIGEST.fullmatch(lock):
            raise UserError(f"it names a lock that is none: {platform[:40]!r}")
    return About(frozenset(data["holds"]), dict(data["locks"]))


def address(text: str) -> str:
    """An address to fetch from, without a slash at its end.

    Raises:
        UserError: it is none, or has a password, which is not shown.
    """
    if "@" in text:
        raise UserError(
            "An address has a user or a password in it. A cache gives to everybody in the lab what it may read itself, "
            "so it has none: let the mirror that asks for one know the cache by its address."
        )
    if not _ADDRESS.fullmatch(text):
        raise UserError(f"This is no address to fetch from: {text[:200]!r}")
    return text.rstrip("/")


def origin(text: str) -> str:
    """The scheme and host of an address, after `address`."""
    where = urlsplit(address(text))
    return f"{where.scheme}://{where.netloc}"


def origins(page: str, index: str, more: Iterable[str] = ()) -> list[str]:
    """The origins that an index's files come from, its own first.

    Args:
        page: one of its pages.
        index: its address.
        more: the only ones that count beside its own; without any those that the page names, where they are names of
            the public internet, reached by HTTPS at its usual port.

    Raises:
        UserError: an address is none, or the page names more hosts than any index has.
    """
    allowed = {origin(one) for one in more}
    found = dict.fromkeys([origin(index)])
    for one in re.findall(r'href="(https?://[^/"]+)/', page):
        if one in allowed if allowed else _is_elsewhere(one):
            found[one] = None
    if len(found) > MAX_ORIGINS:
        raise UserError(f"{index} names files on {len(found)} hosts, which no index does. Set lab_cache_index_files.")
    return list(found)


def _is_elsewhere(text: str) -> bool:
    return bool(_ELSEWHERE.fullmatch(text)) and text.rpartition(".")[2] not in _OF_A_LAB


def digest(text: object) -> str:
    """A SHA-256, hexadecimal.

    Raises:
        UserError: it is none.
    """
    return _of_form(text, _DIGEST, "SHA-256")


def name(text: object) -> str:
    """A name of one part of a path: a file, a package, a version.

    Raises:
        UserError: it is none.
    """
    return _of_form(text, _NAME, "name of a file or a package")


def _of_form(text: object, form: re.Pattern[str], what: str) -> str:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise UserError(f"This is no {what}: {str(text)[:80]!r}")
    return text


def inside(folder: Path, relative: str) -> Path:
    """The path of something below a folder.

    Raises:
        UserError: a part of it is no name, or a link, which could lead elsewhere.
    """
    path = folder
    for part in relative.split("/"):
        path /= name(part)
        if path.is_symlink():
            raise UserError(f"{path} is a link. Nothing is written through links; remove it.")
    return path
