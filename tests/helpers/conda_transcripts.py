"""What the real conda was recorded to do, in the compact form that its stand-in goes by.

`python -m tests.helpers.conda_transcripts` writes that form anew, where the recordings are.
"""

import json
import re
from itertools import pairwise
from typing import Any

from tests.helpers import transcripts as recordings
from tests.helpers.transcripts import Transcript
from verify import ROOT

COMPACT = ROOT / "molecule" / "mac" / "standins" / "conda_recorded.json"
ABSENT = recordings.absent("conda")

ADVISED = re.compile(r"(navigate to\\+n\\+n +)[^\\]+")

BY_ARGUMENTS = frozenset(
    {
        "create-channel-no-index", "create-checksum-mismatch", "create-connection-refused", "create-name-not-resolved",
        "create-dependency-not-found", "create-post-link-failure", "create-solver-conflict",
        "create-solver-conflict-versions", "create-spec-invalid-version", "create-two-packages-not-found",
        "install-channel-404", "install-checksum-mismatch", "install-conflict", "install-conflict-versions",
        "install-connection-refused", "install-post-link-failure", "install-post-link-failure-with-change",
    }
)  # fmt: skip
"""Situations in which the channels and the specifications alone decide what happens."""

REPORTED = frozenset({"traceback", "conda_info", "env_vars", "environment_variables", "env"})
"""What an error report says of the machine."""


def transcripts() -> dict[str, Transcript]:
    """Every recorded situation by name; none where the recordings are not."""
    # What conda advises is another place to look for packages; which, is nothing to this project.
    texts = recordings.texts("conda").items()
    return {name: json.loads(re.sub(ADVISED, r"\1https://hub.example", text)) for name, text in texts}


def is_asked(transcript: Transcript) -> bool:
    """Whether the project asks conda in this way for a change."""
    _, command, *rest = transcript["argv"]
    plain = {"--prefix", "--yes", "--json", "--quiet"} <= set(rest) and not {"--all", "--override-frozen"} & set(rest)
    return command in {"create", "install", "remove"} and plain


def specs(transcript: Transcript) -> list[str]:
    """What is asked for."""
    valued = {"--prefix", "-c"}
    rest = transcript["argv"][2:]
    return [one for before, one in zip(["", *rest], rest, strict=False) if one[0] != "-" and before not in valued]


def channels(transcript: Transcript) -> list[str]:
    """Where it is looked for."""
    rest = transcript["argv"]
    return [one for before, one in pairwise(rest) if before == "-c"]


def compact(name: str, transcript: Transcript) -> dict[str, Any]:
    """Exit code, what is on each stream, and by what the situation is known."""
    said = transcript["json"] or {}
    stdout = {key: one for key, one in said.items() if key not in REPORTED}
    # Of a traceback, the lines that say something.
    stderr = [line for line in transcript["stderr"].splitlines() if not line.startswith("  ")]
    one: dict[str, Any] = {"exit": transcript["exit_code"], "stdout": stdout, "stderr": stderr}
    if transcript["condarc"]:
        one["condarc"] = transcript["condarc"]
    if name in BY_ARGUMENTS:
        one["at"] = "link" if "post-link" in name else "fetch" if "checksum" in name else "solve"
        one["asked"] = {
            "command": transcript["argv"][1], "channels": channels(transcript), "specs": specs(transcript)
        }  # fmt: skip
        one["known"] = [spec for spec in specs(transcript) if spec != "postfail"]
    text = json.dumps(one)
    for there in ("/envs/ml-m1", ""):
        text = text.replace(f"/Users/ana/miniforge3{there}", "{prefix}" if there else "{root}")
    compacted: dict[str, Any] = json.loads(text.replace("/Users/ana", "{home}"))
    return compacted


def failures() -> dict[str, dict[str, Any]]:
    """Each situation in which a change that the project asks for ends with an error, in the compact form."""
    return {name: compact(name, one) for name, one in transcripts().items() if is_asked(one) and one["exit_code"] > 0}


if __name__ == "__main__":
    COMPACT.write_text(json.dumps(failures(), indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
