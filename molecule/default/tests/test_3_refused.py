"""What cannot work is refused before anything is changed, with what was found, what is needed and what to do."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.lab import Lab, Run


def refused(lab: Lab, *arguments: str, **environment: str) -> str:
    """Converge, see it refused with nothing changed, and return what it said in one line."""
    before = lab.files()
    run: Run = lab.converge(*arguments, **environment)
    assert run.code != 0, run.output
    assert lab.files() == before
    assert "Traceback" not in run.output
    return run.words


def test_an_unknown_framework(fresh: Lab) -> None:
    said = refused(fresh, "-e", json.dumps({"frameworks": ["mlx", "caffe"]}))
    assert "The framework 'caffe' is unknown" in said
    assert "tensorflow, pytorch, jax, mlx" in said


def test_an_unknown_profile(fresh: Lab) -> None:
    assert "There is no profile 'ml-m9'" in refused(fresh, "-e", "profile=ml-m9")


def test_a_bundle_that_is_not_there(fresh: Lab, tmp_path: Path) -> None:
    assert f"There is no bundle in {tmp_path}" in refused(fresh, "-e", f"bundle={tmp_path}")


def test_a_malformed_profile(fresh: Lab, tmp_path: Path) -> None:
    spoiled = fresh.copy_of_project(tmp_path)
    path = spoiled.tree / "profiles" / "ml-m1" / "profile.yml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("disk_gb:", "disk_gigabytes:"), encoding="utf-8")
    line = text[: text.index("disk_gb:")].count("\n") + 1
    assert f"profile.yml:{line}: unknown key 'disk_gigabytes'" in refused(spoiled)


def test_a_lock_with_one_hash_altered(fresh: Lab, tmp_path: Path) -> None:
    spoiled = fresh.copy_of_project(tmp_path)
    alter_hashes(spoiled, "mlx-cpu")
    assert "linux-x86_64.lock was changed by something other than the lock command" in refused(spoiled)


def test_a_lock_with_altered_hashes_and_a_digest_to_match_is_refused_by_uv(lab: Lab, tmp_path: Path) -> None:
    """Even a forged lock installs nothing: the file does not have the hash that it demands."""
    spoiled = lab.copy_of_project(tmp_path)
    alter_hashes(spoiled, "mlx-cpu")
    renew = "from verify.profile import lock, model; p = model.load('ml-m1'); path = p.lock_path('linux-x86_64'); " \
        "body = lock._split(path.read_text())[1]; " \
        "path.write_text(lock.render(body, inputs=p.lock_inputs('linux-x86_64')))"  # fmt: skip
    subprocess.run([shutil.which("python") or "python3", "-c", renew], cwd=spoiled.tree, check=True)
    site = lab.prefix / "lib" / "python3.11" / "site-packages"
    gone = next(site.glob("mlx_cpu-*.dist-info"))
    gone.rename(site / "put-aside")
    try:
        # Beside the refusal only the journal may appear: it makes the next run lay the package down again.
        run = spoiled.converge("--tags", "mlx")
        assert run.code != 0
        assert "is not the one that is locked" in run.words
        assert "mlx-cpu" in run.words
        assert not list(site.glob("mlx_cpu-*.dist-info"))
    finally:
        (site / "put-aside").rename(gone)
    assert lab.converge("--skip-tags", "verify").code == 0
    assert lab.converge("--skip-tags", "verify").changed == 0


def alter_hashes(lab: Lab, package: str) -> None:
    """Change the first digit of each hash of a package in the Linux lock."""
    path = lab.tree / "profiles" / "ml-m1" / "linux-x86_64.lock"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    for number in range(start + 1, len(lines)):
        if "--hash=sha256:" not in lines[number]:
            break
        head, digits = lines[number].split("sha256:")
        lines[number] = f"{head}sha256:{'0' if digits[0] != '0' else '1'}{digits[1:]}"
    path.write_text("".join(lines), encoding="utf-8")


def test_somebody_elses_prefix(fresh: Lab) -> None:
    fresh.prefix.mkdir(parents=True)
    (fresh.prefix / "thesis.tex").write_text("years of work", encoding="utf-8")
    assert "holds files that metal-lab did not put there" in refused(fresh)


def test_an_env_with_the_wrong_python(lab: Lab) -> None:
    settings = lab.prefix / "pyvenv.cfg"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("version_info = 3.11", "version_info = 3.12"), encoding="utf-8")
    try:
        said = refused(lab)
    finally:
        settings.write_text(text, encoding="utf-8")
    assert "has Python 3.12; the profile 'ml-m1' needs 3.11" in said
    assert "uv_env_recreate" in said


def test_too_little_disk(fresh: Lab, tmp_path: Path) -> None:
    """A file system of 64 MB for the environment."""
    small = tmp_path / "small disk"
    small.mkdir()
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    size = f"size=64m,uid={os.geteuid()}"
    subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", size, "tmpfs", small], check=True)
    try:
        said = refused(fresh, "-e", json.dumps({"env_prefix": str(small / "env")}))
        assert list(small.iterdir()) == []
    finally:
        subprocess.run([*as_root, "umount", small], check=True)
    assert f"Found 0.1 GB free at {small}" in said
    assert "8 GB" in said


def test_an_index_that_does_not_answer(fresh: Lab) -> None:
    """The discard port of this machine: the connection is refused at once."""
    said = refused(
        fresh,
        "-e",
        "package_index=http://127.0.0.1:9/simple",
        UV_CACHE_DIR=str(fresh.home / ".cache"),
        UV_HTTP_RETRIES="1",
    )
    assert "The package index does not answer" in said
    assert "set package_index to its address" in said


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_a_refusal_is_the_same_in_check_mode_and_for_real(fresh: Lab, option: str) -> None:
    assert "is unknown" in refused(fresh, option, "-e", json.dumps({"frameworks": ["caffe"]}))
