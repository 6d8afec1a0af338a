"""A vaulted password for sudo, at -vvv: in no output, result, cache, log or process list."""

import json
import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

from fleet import FOLDER, HOSTS, ROOT, converge, login


def watch(secret: bytes, seen: list[str], over: threading.Event) -> None:
    """Look at every process's arguments and environment until told to stop; those of the Macs are among them."""
    while not over.is_set():
        for place in Path("/proc").glob("[0-9]*"):
            for part in ("cmdline", "environ"):
                try:
                    text = (place / part).read_bytes()
                except OSError:
                    continue
                if secret in text:
                    seen.append(f"{part}: {text!r}")


def content(file: Path) -> bytes:
    """What a file holds; nothing where it is a socket, or another run has taken it away meanwhile."""
    try:
        return file.read_bytes() if file.is_file() else b""
    except FileNotFoundError:
        return b""


def test_the_password_is_nowhere(tmp_path: Path) -> None:
    known = json.loads(HOSTS.read_text(encoding="utf-8"))
    del known["all"]["vars"]["ansible_become_password"]
    # One that no other process on this machine has to do with.
    secret = secrets.token_hex(16)
    line = ["openssl", "passwd", "-6", "-stdin"]
    digest = subprocess.run(line, input=secret, capture_output=True, text=True, check=True).stdout.strip()
    plain = tmp_path / "hosts.yml"
    plain.write_text(json.dumps(known), encoding="utf-8")
    key = tmp_path / "key"
    key.write_text("of the vault", encoding="utf-8")
    line = [str(Path(sys.executable).parent / "ansible-vault"), "encrypt_string", "--vault-password-file", str(key)]
    done = subprocess.run(
        [*line, "--stdin-name", "ansible_become_password"], input=secret, capture_output=True, text=True, check=True
    )
    vaulted = tmp_path / "vaulted.yml"
    indented = "".join(f"    {one}\n" for one in done.stdout.splitlines())
    vaulted.write_text(f"all:\n  vars:\n{indented}", encoding="utf-8")

    home = tmp_path / "home"
    home.mkdir()
    # Homebrew's folder is what takes root to make.
    login("m08", f"rm -r /opt/homebrew; sed -i 's|^ana:[^:]*:|ana:{digest}:|' /etc/shadow", root=True)
    seen: list[str] = []
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(secret.encode(), seen, over))
    watcher.start()
    try:
        run = converge(
            "-vvv", "--limit", "m08", "--vault-password-file", str(key), inventory=(plain, vaulted), home=home
        )
    finally:
        over.set()
        watcher.join()
    assert run.code == 0, run.output
    assert run.row("m08")[0] == "repaired"
    assert "BECOME-SUCCESS" in run.output
    assert seen == []
    assert secret not in run.output
    places = [ROOT / "results", ROOT / ".venv" / "ansible", Path.home() / ".ansible", FOLDER / "cp"]
    files = [Path(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
    assert [file for file in (*files, FOLDER / "m08" / "log") if secret.encode() in content(file)] == []
    found = login(
        "m08", f"grep -rlsF '{secret}' /Users/ana /tmp /var/log /opt/homebrew/etc || :", root=True, password=secret
    )
    assert found.split() == []
