"""What the cache gives, and what it takes from outside for it."""

import hashlib
import os
import subprocess
from pathlib import Path

import lab
import runs

OK, NOT_FOUND = 200, 404
BLOBS = lab.OUTSIDE / "tree" / "blob-store"


def outside_answers(part: str) -> list[str]:
    noted = lab.OUTSIDE / "answers"
    lines = noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
    return [line.split()[0] for line in lines if part in line]


def test_a_bottle_comes_through_the_registrys_redirection_and_is_kept() -> None:
    runs.empty_cache()
    blob = sorted(BLOBS.iterdir())[0].name
    before = len(outside_answers(blob))
    for _ in range(2):
        status, content = runs.get(f"/homebrew/v2/homebrew/core/git/blobs/{blob}")
        assert (status, f"sha256:{hashlib.sha256(content).hexdigest()}") == (OK, blob)
    # The registry had Homebrew's token, and the address that it sends to did not; each was asked once.
    assert outside_answers(blob)[before:] == ["307", "200"]


def test_a_bottle_that_was_altered_is_thrown_away_by_the_digest_that_brew_names() -> None:
    blob = sorted(BLOBS.iterdir())[0].name
    (file,) = runs.cached(blob)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    digest = blob.removeprefix("sha256:")
    path = f"/homebrew/v2/homebrew/core/git/blobs/{blob}"
    assert hashlib.sha256(runs.get(path)[1]).hexdigest() != digest
    purged = runs.play("playbooks/cache.yml", "--tags", "purge", "-e", f"purge={digest}")
    assert purged.code == 0, purged.output
    assert hashlib.sha256(runs.get(path)[1]).hexdigest() == digest


def test_what_outside_does_not_have_is_not_found() -> None:
    assert runs.get("/homebrew/api/formula/nothing.json")[0] == NOT_FOUND
    assert runs.get("/anything/else")[0] == NOT_FOUND
    assert runs.get("/git/../nginx.conf", "--path-as-is")[0] == NOT_FOUND


def test_pip_fetches_uv_through_it(tmp_path: Path) -> None:
    """As the roles do it on a Mac; the simulated ones get this machine's uv instead."""
    index = "http://10.78.0.1:8423/index/simple"
    lab.start_macs("bridge")  # its bridge has the cache's address
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    own = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": index, "PIP_TRUSTED_HOST": "10.78.0.1:8423"}
    lock = runs.ROOT / "uv-tool.lock"
    line = ["/usr/bin/python3", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--only-binary", ":all:"]
    done = subprocess.run(
        [*line, "--target", str(tmp_path), "-r", str(lock)],
        env={**kept, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert runs.cached("/uv-0.")
