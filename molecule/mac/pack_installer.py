"""Put the stand-in of Miniforge's installer together: one file, as the real one is."""

from __future__ import annotations

import hashlib
from pathlib import Path

STANDINS = Path(__file__).resolve().parent / "standins"
PARTS = {
    "MATCH_SPEC": "match_spec.py",
    "CONSTANTS": "conda_constants.py",
    "RECORDED": "conda_recorded.json",
    "HOOK": "conda.sh",
    "CONDA": "conda_standin.py",
}


def pack(target: Path) -> str:
    """Write the installer to `target` and return its SHA-256."""
    text = (STANDINS / "miniforge_installer.sh").read_text(encoding="utf-8")
    for name, file in PARTS.items():
        text += f"{name} BEGIN\n{(STANDINS / file).read_text(encoding='utf-8')}{name} END\n"
    target.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()
