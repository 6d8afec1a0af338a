"""Two profiles on one machine: each is healthy and can be taken away by itself, and a terminal is in one of them."""

import shutil
from pathlib import Path

from tests.helpers.lab import ROOT, Lab


def test_two_profiles_side_by_side_and_away_again(fresh: Lab, tmp_path: Path) -> None:
    second = tmp_path / "second"
    shutil.copytree(ROOT / "profiles" / "ml-m1", second)
    about = (second / "profile.yml").read_text(encoding="utf-8").replace("name: ml-m1", "name: second", 1)
    (second / "profile.yml").write_text(about, encoding="utf-8")
    (fresh.home / "notes.txt").write_text("mine", encoding="utf-8")
    before = fresh.files()
    first = ("--skip-tags", "verify", "-e", '{"frameworks": ["mlx"]}')
    other = (*first, "-e", f"profile={second}")
    # The shell's file is made for the block of the first one, and serves the second.
    for arguments, changed in ((first, 3), (other, 3), (other, 0)):
        run = fresh.converge(*arguments)
        assert (run.code, run.changed) == (0, changed), run.output

    def healthy(profile: str) -> bool:
        results = str(tmp_path / "results")
        run = fresh.verify("--profile", profile, "--level", "setup", "--no-page", "--results", results)
        assert ("shell.login [not-on-path]" in run.output) is (run.code == 1), run.output
        return run.code == 0

    assert healthy(str(second))
    assert healthy("ml-m1")
    environment = fresh.prefix.parent / "second"
    environment.rename(tmp_path / "aside")
    # New terminals are in none.
    assert not healthy("ml-m1")
    (tmp_path / "aside").rename(environment)

    gone = fresh.play("uninstall.yml", "-e", f"profile={second}")
    assert gone.code == 0, gone.output
    assert "./converge -e profile=ml-m1 --tags shell" in gone.words
    assert (environment.exists(), (fresh.home / ".bashrc").exists()) == (False, False)
    assert fresh.converge(*first).changed == 1
    assert fresh.converge(*first).changed == 0
    assert healthy("ml-m1")
    assert fresh.play("uninstall.yml").code == 0
    assert fresh.files() == before
