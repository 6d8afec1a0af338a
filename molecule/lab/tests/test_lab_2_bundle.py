"""A bundle: made once, checked by its sums, and machines made of it with no route outside."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import lab
import runs

OUTSIDE = f"https://127.0.0.9:{lab.OUTSIDE_PORT}"
WHERE = {
    "bundle": str(runs.BUNDLE),
    "bundle_conda_channel": f"{OUTSIDE}/conda/conda-forge",
    "bundle_homebrew_api": f"{OUTSIDE}/api",
    "bundle_homebrew_bottles": f"{OUTSIDE}/v2",
    "miniforge_mirror": f"{OUTSIDE}/github",
    "homebrew_git_remote": str(lab.OUTSIDE / "stand-ins" / "web" / "brew.git"),
    "frameworks": ["mlx"],
}


def make(**variables: object) -> runs.Run:
    pins = json.loads((lab.FOLDER / "lab.yml").read_text(encoding="utf-8"))["all"]["vars"]
    more = {"homebrew_commit": pins["homebrew_commit"], "miniforge_checksums": pins["miniforge_checksums"]}
    done = subprocess.run(
        runs.line("playbooks/bundle.yml", **{**WHERE, **more, **variables}),
        env=runs.environment(SSL_CERT_FILE=str(lab.OUTSIDE / "authorities.pem")),
        capture_output=True,
        text=True,
        check=False,
    )
    return runs.Run(done.returncode, done.stdout + done.stderr)


def test_it_is_made_once() -> None:
    run = make()
    assert run.code == 0, run.output
    # Beside it what a Linux machine needs, without conda.
    assert make(bundle_platforms=["linux-x86_64"], env_provider="uv").code == 0
    again = make()
    assert again.code == 0, again.output
    assert again.counts()["localhost"]["changed"] == 0, again.output
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=runs.BUNDLE, check=True)


def test_it_has_what_the_mac_needs_and_no_more() -> None:
    about = json.loads((runs.BUNDLE / "bundle.json").read_text(encoding="utf-8"))
    assert set(about["locks"]) == {"darwin-arm64", "linux-x86_64"}
    bottles = sorted(path.parts[-3] for path in (runs.BUNDLE / "homebrew" / "v2").rglob("blobs/*"))
    assert bottles == ["gettext", "git", "htop", "ncurses", "pcre2"]
    channel = runs.BUNDLE / "conda" / "conda-forge"
    assert sorted(path.name for path in channel.rglob("*.conda")) == [
        "pip-26.0.1-py_0.conda",
        "python-3.11.15-h1_0_cpython.conda",
        "setuptools-80.9.0-py_0.conda",
    ]
    repodata = json.loads((channel / "osx-arm64" / "repodata.json").read_text(encoding="utf-8"))
    assert list(repodata["packages.conda"]) == ["python-3.11.15-h1_0_cpython.conda"]
    assert not list((runs.BUNDLE / "index" / "files").glob("tensorflow*"))


def test_ten_macs_from_the_bundle_and_nothing_from_outside() -> None:
    runs.empty_cache(bundle=str(runs.BUNDLE))
    lab.start_macs(*runs.TEN)
    runs.all_are_well(runs.converge(*runs.TEN), *runs.TEN)
    assert runs.from_outside() == 0
    assert not list((lab.CACHE / "store").glob("?/??/*"))


def test_this_machine_from_the_bundle_in_a_network_with_nothing_in_it(tmp_path: Path) -> None:
    """On Linux the twins of the Mac's packages run, so the verification is part of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "MOLECULE_"))}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(runs.ROOT / "site.yml"), "-e"]
    command += [json.dumps({"bundle": str(runs.BUNDLE), "frameworks": ["mlx"]})]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command],
        env={
            **kept,
            "HOME": str(tmp_path),
            "ANSIBLE_CONFIG": str(runs.ROOT / "ansible.cfg"),
            "PIP_CONFIG_FILE": "/dev/null",
        },
        capture_output=True,
        text=True,
        check=False,
        cwd=runs.ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HEALTHY" in done.stdout


def test_a_bundle_of_another_state_of_the_lock_is_refused() -> None:
    about, sums = runs.BUNDLE / "bundle.json", runs.BUNDLE / "SHA256SUMS"
    text, listed = about.read_text(encoding="utf-8"), sums.read_text(encoding="utf-8")
    data = json.loads(text)
    data["locks"]["darwin-arm64"] = "0" * 64
    other = json.dumps(data)
    about.write_text(other, encoding="utf-8")
    # As it would be if it had been made for that state.
    old, new = (sha256(one.encode()).hexdigest() for one in (text, other))
    sums.write_text(listed.replace(old, new), encoding="utf-8")
    try:
        runs.cache(bundle=str(runs.BUNDLE))
        run = runs.converge("mac01")
    finally:
        about.write_text(text, encoding="utf-8")
        sums.write_text(listed, encoding="utf-8")
    assert run.code != 0
    assert "another state of its lock" in run.words, run.output


def test_a_bundle_that_is_not_as_it_was_made_is_not_served() -> None:
    extra = runs.BUNDLE / "conda" / "conda-forge" / "noarch" / "repodata.json.zst"
    extra.touch()
    try:
        run = runs.play("playbooks/cache.yml", bundle=str(runs.BUNDLE))
    finally:
        extra.unlink()
    assert run.code != 0
    assert "repodata.json.zst: SHA256SUMS does not name it" in run.words, run.output
