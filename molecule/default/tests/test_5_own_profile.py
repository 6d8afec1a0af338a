"""A profile of one's own, in a folder outside the project, from its lock to a healthy machine."""

import shutil
from pathlib import Path

import yaml

from tests.helpers.lab import ROOT, Lab
from verify.profile.model import PROFILES

FRAMEWORKS = ("jax", "mlx")


def made(folder: Path) -> Path:
    """Two frameworks of the course's, and numpy alone beside them."""
    profile = folder / "lecture"
    profile.mkdir()
    known = yaml.safe_load((PROFILES / "ml-m1" / "profile.yml").read_text(encoding="utf-8"))
    known |= {"name": profile.name, "frameworks": {one: known["frameworks"][one] for one in FRAMEWORKS}}
    del known["accepted_findings"]
    (profile / "profile.yml").write_text(yaml.safe_dump(known), encoding="utf-8")
    for one in FRAMEWORKS:
        shutil.copy(PROFILES / "ml-m1" / f"{one}.in", profile)
    (profile / "base.in").write_text("numpy==1.26.4\n", encoding="utf-8")
    return profile


def test_from_its_lock_to_a_healthy_machine(fresh: Lab, tmp_path: Path) -> None:
    profile = made(tmp_path)
    locked = fresh.verify("lock", "--profile", str(profile))
    assert locked.code == 0, locked.output
    assert len(list(profile.glob("*.lock"))) == 3  # one for each platform
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "profiles").rglob("*")}
    first = fresh.converge("-e", f"profile={profile}")
    assert first.code == 0, first.output
    assert "HEALTHY" in first.output
    assert "; lecture; quick;" in first.words
    assert fresh.converge("--skip-tags", "verify", "-e", f"profile={profile}").changed == 0
    assert (fresh.home / ".local/share/metal-lab/envs/lecture/bin/python").exists()
    assert {path: path.stat().st_mtime_ns for path in (ROOT / "profiles").rglob("*")} == before
    # Its folder is no longer needed.
    shutil.rmtree(profile)
    gone = fresh.play("uninstall.yml", "-e", f"profile={profile}")
    assert gone.code == 0, gone.output
    assert not (fresh.home / ".local/share/metal-lab").exists()
