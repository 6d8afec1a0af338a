"""verify: proves that a machine is what its profile says."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: the one that holds profiles/, playbooks/ and verify/."""

RESULTS = (Path.cwd() if (ROOT / "MANIFEST.json").exists() else ROOT) / "results"
"""What playbooks leave: beside the clone's files, or, for an installed collection, where they were started."""
