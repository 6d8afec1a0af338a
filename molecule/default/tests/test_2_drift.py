"""Drift is named without touching anything, and mended without touching the rest."""

import json
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.lab import Lab
from tests.helpers.pins import locked

HERE = f"{platform.system().lower()}-{platform.machine()}"


@pytest.fixture
def drifted(lab: Lab) -> Lab:
    """Four drifts: mlx removed, another numpy, an edited shell block, a changed variable."""
    uv = next((lab.home / ".local" / "share" / "metal-lab" / "uv").glob("*/bin/uv"))
    pip = [str(uv), "pip"]
    subprocess.run([*pip, "uninstall", "--python", lab.python, "mlx"], env=lab.environment(), check=True)
    subprocess.run([*pip, "install", "--python", lab.python, "numpy==1.26.3"], env=lab.environment(), check=True)
    shell_file = lab.home / ".bashrc"
    text = shell_file.read_text(encoding="utf-8")
    assert "unset metal_lab_part" in text
    shell_file.write_text(text.replace("unset metal_lab_part", "echo drifted"), encoding="utf-8")
    (lab.prefix / "etc" / "metal-lab" / "tensorflow.sh").write_text("export KERAS_BACKEND='torch'\n", encoding="utf-8")
    return lab


def outside(lab: Lab, *drifts: Path) -> dict[str, str]:
    """All files but those that belong to the drifts, and what Python caches of modules."""
    shown = tuple(str(path.relative_to(lab.home)) for path in drifts)
    return {
        path: what for path, what in lab.files().items() if not path.startswith(shown) and "__pycache__" not in path
    }


def test_four_drifts_are_named_and_mended_and_nothing_else(drifted: Lab) -> None:
    site = drifted.prefix / "lib" / "python3.11" / "site-packages"
    spots = [
        site / "numpy",
        site / "mlx",
        drifted.home / ".bashrc",
        drifted.prefix / "etc" / "metal-lab" / "tensorflow.sh",
    ]
    # Scripts and folders whose time changes when those packages come and go.
    spots += [
        drifted.prefix / "bin" / "f2py",
        drifted.prefix / "metal-lab-transaction.json",
        drifted.prefix / "bin" / "mlx",
    ]
    before = drifted.files()
    rest = outside(drifted, *spots)

    checked = drifted.converge("--check", "--diff")
    assert checked.code == 0, checked.output
    # The packages with their variables, and the block.
    assert checked.changed == 2
    for line in (
        f"+mlx=={locked('mlx', HERE)}",
        "-numpy==1.26.3",
        f"+numpy=={locked('numpy', HERE)}",
        "-    echo drifted",
        "-export KERAS_BACKEND='torch'",
    ):
        assert line in checked.output, line
    added = [line for line in checked.output.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert len(added) == 4
    assert drifted.files() == before

    mended = drifted.converge("--skip-tags", "verify")
    assert mended.code == 0, mended.output
    assert mended.changed == 2
    assert outside(drifted, *spots) == rest
    assert drifted.converge("--skip-tags", "verify").changed == 0


def test_a_package_of_which_one_file_was_deleted_is_laid_down_again(lab: Lab) -> None:
    file = lab.prefix / "lib" / "python3.11" / "site-packages" / "pandas" / "core" / "frame.py"
    file.unlink()
    assert lab.converge("--skip-tags", "verify").changed == 1
    assert file.exists()
    subprocess.run([lab.python, "-c", "import pandas"], check=True)


def packages(lab: Lab, results: Path, *arguments: str) -> dict[str, str]:
    """What verify says of the packages, and its advice, where something is wrong with them."""
    lab.verify("--results", str(results), *arguments)
    checks = json.loads((results / "localhost.ml-m1.json").read_text(encoding="utf-8"))["checks"]
    bad = [one for one in checks if one["check"].startswith("packages.") and one["result"] in ("warn", "fail")]
    return {f"{one['check']} {one['fault']}": f"{one['message']} {one['advice']}" for one in bad}


def test_packages_whose_record_is_lost_are_named_and_laid_down_again(lab: Lab, tmp_path: Path) -> None:
    site = lab.prefix / "lib" / "python3.11" / "site-packages"
    (numpy,), (pandas,) = site.glob("numpy-*.dist-info"), site.glob("pandas-*.dist-info")
    shutil.rmtree(site / "numpy")
    for record, content in ((numpy / "RECORD", b""), (pandas / "RECORD", bytes(range(255, -1, -1)))):
        record.unlink()  # It may be linked to the download cache.
        record.write_bytes(content)
    named = [f"{numpy.name}/RECORD is empty", f"{pandas.name}/RECORD is not text"]

    (found,) = packages(lab, tmp_path, "--level", "setup").items()
    assert found[0] == "packages.base damaged"
    checked = lab.converge("--check", "--diff", "--skip-tags", "verify")
    assert checked.changed == 1
    for one in named:
        assert one in found[1]
        assert one in checked.words

    assert lab.converge("--skip-tags", "verify").changed == 1
    subprocess.run([lab.python, "-c", "import numpy, pandas; pandas.DataFrame(numpy.eye(2))"], check=True)
    assert packages(lab, tmp_path, "--level", "setup") == {}
    assert lab.converge("--skip-tags", "verify").changed == 0


def test_a_byte_changed_with_the_size_kept_is_found_at_level_full_and_mended_as_advised(
    lab: Lab, tmp_path: Path
) -> None:
    file = lab.prefix / "lib" / "python3.11" / "site-packages" / "idna" / "core.py"
    content = file.read_bytes()
    file.unlink()  # It may be linked to the download cache.
    file.write_bytes(content.replace(b"import", b"inport", 1))

    assert packages(lab, tmp_path, "--level", "setup") == {}
    assert lab.converge("--skip-tags", "verify").changed == 0
    (found,) = packages(lab, tmp_path, "--level", "full", "--frameworks", "mlx").items()
    assert found[0] == "packages.base altered"
    assert "idna: idna/core.py has other content than its sha256 in RECORD" in found[1]

    advised = re.search(r"\./converge( -e \S+=\S+):", found[1])
    assert advised, found[1]
    assert lab.converge(*advised[1].split(), "--skip-tags", "verify").changed == 1
    assert file.read_bytes() == content
    assert lab.converge(*advised[1].split(), "--skip-tags", "verify").changed == 0


def test_a_file_altered_in_the_download_cache_does_not_reach_the_environment(lab: Lab, tmp_path: Path) -> None:
    file = lab.prefix / "lib" / "python3.11" / "site-packages" / "idna" / "core.py"
    content = file.read_bytes()
    cache = {"UV_CACHE_DIR": str(tmp_path / "cache")}
    file.unlink()
    assert lab.converge("--skip-tags", "verify", **cache).changed == 1
    (cached,) = tmp_path.glob("cache/archive-v*/*/idna/core.py")
    with cached.open("r+b") as altered:
        altered.write(b"#")
    file.unlink()
    assert lab.converge("--skip-tags", "verify", **cache).changed == 1
    assert file.read_bytes() == content
    # What the cache gives now is right too.
    uv = str(next((lab.home / ".local" / "share" / "metal-lab" / "uv").glob("*/bin/uv")))
    version = next(file.parents[1].glob("idna-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    target = tmp_path / "target"
    line = [uv, "pip", "install", "--offline", "--no-deps", "--target", str(target), "--python", str(lab.python)]
    subprocess.run([*line, f"idna=={version}"], env=lab.environment(**cache), check=True)
    assert (target / "idna" / "core.py").read_bytes() == content


def test_a_shell_file_without_its_block_is_missed_by_its_check_and_no_other(lab: Lab, tmp_path: Path) -> None:
    def bad() -> dict[str, str]:
        lab.verify("--level", "setup", "--results", str(tmp_path))
        checks = json.loads((tmp_path / "localhost.ml-m1.json").read_text(encoding="utf-8"))["checks"]
        return {one["check"]: one["fault"] for one in checks if one["result"] in ("warn", "fail")}

    assert bad() == {}
    shell_file = lab.home / ".bashrc"
    text = shell_file.read_text(encoding="utf-8")
    shell_file.write_text(text.partition("# >>> metal-lab")[0], encoding="utf-8")
    try:
        assert bad() == {"shell.login": "not-on-path"}
    finally:
        shell_file.write_text(text, encoding="utf-8")


def test_a_tag_mends_its_part_alone(lab: Lab) -> None:
    shutil.rmtree(lab.prefix / "lib" / "python3.11" / "site-packages" / "pandas")
    (lab.prefix / "etc" / "metal-lab" / "jax.sh").unlink()
    assert lab.converge("--tags", "jax").changed == 1
    assert (lab.prefix / "etc" / "metal-lab" / "jax.sh").exists()
    assert lab.converge("--tags", "base").changed == 1
    assert lab.converge("--skip-tags", "verify").changed == 0
