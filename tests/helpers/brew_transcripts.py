"""What the real brew was recorded to do, in the compact form that its stand-in goes by.

`python -m tests.helpers.brew_transcripts` writes that form anew, where the recordings are.
"""

import json
import re
from typing import Any

from tests.helpers import transcripts
from tests.helpers.transcripts import Transcript
from verify import ROOT

COMPACT = ROOT / "molecule" / "mac" / "standins" / "brew_recorded.json"
ABSENT = transcripts.absent("brew")

STREAMS = ("stdout", "stderr")

FATES = {
    "bottle-404-install": "gone",
    "bottle-checksum-mismatch-install": "badbottle",
    "source-checksum-mismatch-install": "badsum",
    "cask-404-install": "gonecask",
    "cask-checksum-mismatch-install": "badcask",
    "build-fails-install-no-github": "broken",
    "dependency-build-fails-install": "needsbroken",
    "dependency-pinned-outdated-install": "jq",
    "disabled-formula-install": "disabled",
    "post-install-fails-install": "postfail",
    "foreign-file-install": "tree",
    "foreign-file-install-again": "tree",
    "conflicting-formula-install": "tree",
    "cask-foreign-file-install": "othercask",
    "cask-installed-by-hand-other-version-install": "appcask",
    "tap-unreachable-install": "nowhere",
}
"""Situations in which one entry goes wrong, and the entry's name."""

WHOLE = (
    "as-root-check", "brewfile-missing-check", "brewfile-nameerror-check", "check-api-no-network",
    "check-api-no-network-empty-brewfile", "deleted-cwd-check", "first-run-portable-ruby-unreachable",
    "install-api-no-network", "library-missing-version", "no-git-version", "shellenv-bash", "shellenv-zsh",
    "unreadable-cwd-version", "version-fresh-clone-api",
)  # fmt: skip
"""Situations in which the whole answer is one, whatever is asked for."""

MODELLED = re.compile(
    r"(Fetching:?|Using|Installing|Skipping|Tapping) .*(?<!has failed!)|.* has failed!"
    r"|`brew bundle` (complete|failed)!.*|✔︎ (Bottle|Cask) .*"
    # What only the rig says: it reads formulae from taps.
    r"|Warning: Treating `.*|curl: \(6\) Could not resolve host: formulae\.brew\.sh|HTTP status: 000"
)
"""Lines that the stand-in makes itself of what is asked for and of what is there."""

RIG = re.compile(
    r"Warning: Sandbox unavailable: .*|Warning: Unable to query GitHub .*|curl failed! .*| +Dload .*| +0 +0 .*"
    r"|Warning: Problem : timeout\. .*|curl: \(6\) Could not resolve host: api\.github\.com"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000|"
)
"""Lines that only Linux has, or only a machine without GitHub; the time of a build, and empty lines."""


def places(lines: list[str]) -> list[str]:
    """Of what is new or gone: what is a formula's, a cask's or a tap's own, with where a link leads."""
    kept = []
    for line in lines:
        path = line.partition(": ")[2]
        is_own = re.match(r"(Cellar|Caskroom|opt|bin|var/homebrew/(linked|pinned)|Library/Taps)/", path)
        if is_own and not re.search(r"/\.metadata|/homebrew/homebrew-(core|cask)$", path):
            kept.append(path)
    return kept


def transcribed() -> dict[str, Transcript]:
    """Every recorded situation by name; none where the recordings are not."""
    return transcripts.transcripts("brew")


def plain(text: str) -> str:
    """A text with no place in it that is another one on another machine."""
    for before, after in (("/opt/homebrew", "prefix"), ("/Users/ana", "home"), ("/Applications", "applications")):
        text = text.replace(before, f"{{{after}}}")
    return text


def lines(text: str) -> list[str]:
    """What is said of an entry or of the whole, without what the stand-in makes itself."""
    kept = [one for one in plain(text).splitlines() if not RIG.fullmatch(one)]
    return [one for one in kept if not MODELLED.fullmatch(one)]


def _of_anybody(text: str, entry: str) -> str:
    # One is called as what is said of it: disabled.
    return text.replace(entry, "{name}", 1 if f" has been {entry}" in text else -1)


def compact(name: str, transcript: Transcript) -> dict[str, Any]:
    """Exit code, what is on each stream, what is left behind, and of which entry."""
    one: dict[str, Any] = {"exit": transcript["exit_code"]}
    if name in WHOLE:
        return {**one, **{stream: plain(transcript[stream]).splitlines() for stream in STREAMS}}
    entry = FATES[name]
    failed_to_fetch = "Failed to fetch" in transcript["stderr"]
    left = [path.replace(entry, "{name}") for path in places(transcript["after"]) if entry in re.split(r"[/ @]", path)]
    return {
        **one,
        "at": "fetch" if failed_to_fetch else "install",
        **{stream: [_of_anybody(text, entry) for text in lines(transcript[stream])] for stream in STREAMS},
        "left": [path.replace("1.0", "{version}") for path in left],
    }


def situations() -> dict[str, dict[str, Any]]:
    """Each situation that the stand-in goes by, in the compact form."""
    recorded = transcribed()
    return {name: compact(name, recorded[name]) for name in (*FATES, *WHOLE)}


if __name__ == "__main__":
    COMPACT.write_text(json.dumps(situations(), indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
