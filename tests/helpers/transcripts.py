"""What real tools were recorded to do: one file for each situation, outside the project."""

import json
from pathlib import Path
from typing import Any

from verify import ROOT

Transcript = dict[str, Any]


def folder(tool: str) -> Path:
    """Where a tool's recordings are, on the machines that have them."""
    return ROOT.parent / "shared" / "transcripts" / tool


def absent(tool: str) -> str:
    """Why a test that needs them does not run."""
    return f"The recordings of the real {tool} are not on this machine ({folder(tool)})."


def texts(tool: str) -> dict[str, str]:
    """Every recorded situation by name, as JSON; none where the recordings are not."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder(tool).glob("*.json"))}


def transcripts(tool: str) -> dict[str, Transcript]:
    """Every recorded situation by name."""
    return {name: json.loads(text) for name, text in texts(tool).items()}
