"""verify: proves that a machine is what its profile says."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: the one that holds profiles/, playbooks/ and verify/."""
