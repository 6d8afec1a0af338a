"""The wheels of a lock, for machines of any platform: chosen by their tags, checked by the lock's hashes.

A lock may have several wheels of a package, and a Mac takes the newest that its macOS allows: a bundle has what each
macOS takes, from the profile's floor to the newest.

They lie in `index/files`; `index/simple` is an index of them as PEP 503 describes it, with relative links, so that pip
and uv take it from a folder and from a web server alike.
"""

import html
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

from packaging import tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from .. import macos
from ..errors import UserError
from ..profile.lock import Pin
from ..profile.model import Platform, Profile
from .fetch import fetch, read, sha256

FILES, PAGES = "index/files", "index/simple"
_AT_ONCE = 4
_OLDEST_GLIBC = 5
"""manylinux tags begin at glibc 2.5 (PEP 571, PEP 513)."""


@dataclass(frozen=True)
class Link:
    """A wheel that a page offers: its address, its file name and its SHA-256, hexadecimal."""

    url: str
    name: str
    digest: str


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an anchor's address."""
        if tag == "a":
            self.hrefs += [value for name, value in attrs if name == "href" and value]


def links(page: str, url: str) -> Iterator[Link]:
    """The wheels on a page of an index (PEP 503: the digest is the link's fragment)."""
    anchors = _Anchors()
    anchors.feed(page)
    for href in anchors.hrefs:
        address, fragment = urldefrag(urljoin(url, href))
        name = urlsplit(address).path.rpartition("/")[2].replace("%2B", "+")
        if name.endswith(".whl") and fragment.startswith("sha256="):
            yield Link(address, name, fragment.removeprefix("sha256="))


def supported(python: str, platform: Platform) -> list[list[tags.Tag]]:
    """Tags of the wheels that the machines of a platform take, the best first; on a Mac for each macOS.

    Raises:
        UserError: the platform's name in the profile has another form.
    """
    version = tuple(int(part) for part in python.split("."))
    interpreter = f"cp{''.join(python.split('.'))}"
    return [
        [*tags.cpython_tags(version, platforms=names), *tags.compatible_tags(version, interpreter, names)]
        for names in _platform_tags(platform)
    ]


def _platform_tags(platform: Platform) -> Iterator[list[str]]:
    """The platform part of the tags that machines take, the best first: of each macOS, or of a Linux."""
    if floor := platform.macos_floor or platform.macos_deployment_target:
        for major, minor, _ in macos.served(macos.parse_version(floor)):
            yield list(tags.mac_platforms((major, minor), "arm64"))
    elif found := re.fullmatch(r"(\w+)-manylinux_2_(\d+)", platform.uv_platform):
        legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        names = []
        for minor in range(int(found[2]), _OLDEST_GLIBC - 1, -1):
            names.append(f"manylinux_2_{minor}_{found[1]}")
            if minor in legacy:
                names.append(f"{legacy[minor]}_{found[1]}")
        yield [*names, f"linux_{found[1]}"]
    else:
        raise UserError(f"A bundle for {platform.name} cannot be made: its uv_platform is {platform.uv_platform}.")


def choose(pin: Pin, offered: Iterable[Link], ranked: list[tags.Tag]) -> Link | None:
    """The best wheel of a pin that its lock and the platform take, None without any."""
    rank = {tag: number for number, tag in enumerate(ranked)}
    found = []
    for link in offered:
        try:
            fits = [rank[tag] for tag in parse_wheel_filename(link.name)[3] if tag in rank]
        except InvalidWheelFilename:
            continue
        if fits and link.digest in pin.hashes:
            found.append((min(fits), link))
    return min(found, key=lambda one: one[0])[1] if found else None


def collect(
    folder: Path, pins: Iterable[Pin], profile: Profile, platform: Platform, index: str
) -> tuple[list[str], list[str]]:
    """Have the wheels of some pins in a bundle, and pages that name them.

    Args:
        folder: the bundle's.
        pins: of the platform's lock.
        profile: whose lock it is.
        platform: for which machine.
        index: address of an index's "simple" page.

    Returns:
        names of all the files, and of those that were fetched.

    Raises:
        UserError: a wheel cannot be had.
    """
    rankings = supported(profile.python, platform)

    def have(pin: Pin) -> list[tuple[str, bool]]:
        page = f"{index}/{pin.name}/"
        offered = list(links(read(page, {"Accept": "text/html"}).decode(), page))
        chosen: dict[str, Link] = {}
        for ranked in rankings:
            link = choose(pin, offered, ranked) or choose(pin, _beside(platform, pin), ranked)
            if link is None:
                raise UserError(
                    f"{page} offers no wheel of {pin.name} {pin.version} that {platform.name} takes and the lock "
                    "allows. Is the index (or mirror) complete? Wheels outside it are looked for where UV_FIND_LINKS "
                    "says."
                )
            chosen.setdefault(link.name, link)
        fetched = [(name, fetch(link.url, folder / FILES / name, link.digest)) for name, link in chosen.items()]
        _write_page(folder, pin.name, chosen.values())
        return fetched

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = [one for several in pool.map(have, pins) for one in several]
    return [name for name, _ in done], [name for name, fetched in done if fetched]


def _beside(platform: Platform, pin: Pin) -> Iterator[Link]:
    """Wheels of a package outside the index: the machine's own setting comes first, as for the roles."""
    places = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or platform.find_links or ""
    for place in places.split():
        if "://" not in place:
            for path in sorted(Path(place).glob(f"{pin.name.replace('-', '_')}-*.whl")):
                yield Link(path.resolve().as_uri(), path.name, sha256(path))
        elif pin.name in place:
            yield from links(read(place).decode(), place)


def _write_page(folder: Path, name: str, have: Iterable[Link]) -> None:
    """The page of a package: every file of it that the bundle has, for one platform or several."""
    page = folder / PAGES / name / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    entries = {link.name: link.digest for link in have}
    if page.exists():
        entries |= {one.name: one.digest for one in links(page.read_text(encoding="utf-8"), "file:///index/simple/x/")}
    anchors = [
        f'<a href="../../files/{html.escape(entry)}#sha256={digest}">{html.escape(entry)}</a><br>'
        for entry, digest in sorted(entries.items())
        if (folder / FILES / entry).exists()
    ]
    lines = ["<!DOCTYPE html>", f"<html><head><title>{name}</title></head><body>", *anchors, "</body></html>", ""]
    page.write_text("\n".join(lines), encoding="utf-8")
