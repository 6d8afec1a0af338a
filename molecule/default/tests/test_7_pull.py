"""A machine that converges itself: set up by pull.yml, run as its timer would, and collected from."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.helpers.lab import LIMIT_S, ROOT, Lab, ignored

RESULT = "localhost.ml-m1.json"


def signed_repository(folder: Path) -> tuple[Path, str]:
    """This project as a git repository with a signed tag `lab`; returns it, and the signer's line."""
    tree = folder / "server"
    shutil.copytree(ROOT, tree, ignore=ignored, symlinks=True)
    key = folder / "admin"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    settings = ["gpg.format=ssh", f"user.signingkey={key}.pub", "user.name=admin", "user.email=admin@lab"]
    git = ["git", "-C", str(tree), *(part for one in settings for part in ("-c", one))]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"], ["tag", "-s", "lab", "-m", "lab"]):
        subprocess.run([*git, *arguments], check=True)
    public = key.with_suffix(".pub").read_text(encoding="utf-8").split()[:2]
    return tree, f"admin@lab {' '.join(public)}"


def test_it_converges_itself_from_a_signed_tag_and_is_collected_from(fresh: Lab, tmp_path: Path) -> None:
    server, signer = signed_repository(tmp_path)
    settings = {
        "self_converge_repository": str(server),
        "self_converge_ref": "lab",
        "self_converge_signers": [signer],
        "self_converge_variables": {"frameworks": ["mlx"]},
    }
    extra = ("-e", json.dumps(settings))
    checked = fresh.play("pull.yml", "--check", *extra)
    assert checked.code == 0, checked.output
    assert fresh.files() == {}
    done = fresh.play("pull.yml", *extra)
    assert done.code == 0, done.output
    assert fresh.play("pull.yml", *extra).changed == 0
    # At night new terminals stay where they are.
    inventory = json.loads((fresh.home / ".local/share/metal-lab/pull/inventory.yml").read_text(encoding="utf-8"))
    assert inventory["all"]["vars"] == {"shell_profile_move": False, "frameworks": ["mlx"]}

    assert "has not run yet" in fresh.play("collect.yml").words
    pull = fresh.home / ".local" / "share" / "metal-lab" / "pull"
    command = ["/bin/sh", str(pull / "self-converge.sh")]
    # What it says is shown as YAML, which doubles a quote.
    assert shlex.join(command) in done.words.replace("''", "'")
    ended = subprocess.run(command, env=fresh.environment(), check=False, timeout=LIMIT_S)
    logs = "".join(path.read_text(encoding="utf-8") for path in (pull / "logs").iterdir())
    assert ended.returncode == 0, logs
    assert fresh.python.exists()
    assert "1 machine: 1 repaired" in logs

    kept = ROOT / "results" / RESULT
    kept.unlink(missing_ok=True)
    collected = fresh.play("collect.yml")
    assert collected.code == 0, collected.output
    assert json.loads(kept.read_text(encoding="utf-8"))["verdict"] == "healthy"

    gone = fresh.play("pull.yml", *extra, "-e", "self_converge_state=absent")
    assert gone.code == 0, gone.output
    assert not pull.exists()
    assert os.path.lexists(fresh.prefix)
