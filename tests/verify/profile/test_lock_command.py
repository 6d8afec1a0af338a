"""`python -m verify lock --check`: a lock stays good while it satisfies its requirements, whatever the index gains."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.package_index import Index, serving
from verify import ROOT

PYPROJECT = """\
[project]
name = "small"
version = "1"
requires-python = ">=3.11"
dependencies = ["alpha>=1", "uv==1.0"]
[dependency-groups]
dev = ["beta"]
solver = ["py-rattler==1.0"]
[tool.metal-lab]
locked-on = "2026-06-01"
"""
PROFILE = """\
name: small
python: "3.11"
disk_gb: 1
locked_on: "2026-06-01"
platforms:
  linux-x86_64:
    uv_platform: x86_64-manylinux_2_35
base:
  requirements: base.in
frameworks:
  mlx:
    title: MLX
    requirements: mlx.in
    distributions: [mlx]
    required: true
    device:
      linux-x86_64: cpu
"""
FORGED = "    --hash=sha256:" + "0" * 64
PROFILE_LOCK = Path("profiles/small/linux-x86_64.lock")
LOCKS = (
    "uv-tool.lock",
    "verify/bundle/solver.txt",
    "controller.lock",
    "controller-dev.lock",
    str(PROFILE_LOCK),
)


@dataclass
class Project:
    """A small project with the lock command, and an index that it resolves from."""

    folder: Path
    index: Index

    def lock(self, *arguments: str, index: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a user does."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
        environment |= {"UV_DEFAULT_INDEX": index or self.index.url, "UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0", **more}
        return subprocess.run(
            [sys.executable, "-m", "verify", "lock", *arguments],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    def texts(self) -> dict[str, str]:
        """What the locks hold."""
        return {name: (self.folder / name).read_text(encoding="utf-8") for name in LOCKS}

    def edit(self, file: str | Path, old: str, new: str) -> None:
        """Replace a text that must be there."""
        path = self.folder / file
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose locks were just made."""
    folder = tmp_path_factory.mktemp("lock") / "project"
    shutil.copytree(ROOT / "verify", folder / "verify", ignore=shutil.ignore_patterns("__pycache__"))
    small = folder / "profiles" / "small"
    small.mkdir(parents=True)
    shutil.copy(ROOT / "profiles" / "profile.schema.json", folder / "profiles")
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (small / "profile.yml").write_text(PROFILE, encoding="utf-8")
    (small / "base.in").write_text("alpha\n", encoding="utf-8")
    (small / "mlx.in").write_text("beta\n", encoding="utf-8")
    with serving() as index:
        for name, version, needs in (
            ("alpha", "1.0", ("gamma<2",)), ("beta", "1.0", ()), ("gamma", "1.0", ()), ("uv", "1.0", ()),
            ("py_rattler", "1.0", ()),
        ):  # fmt: skip
            index.add(name, version, *needs, uploaded="2026-05-01")
        index.projects["py-rattler"] = index.projects.pop("py_rattler")
        project = Project(folder, index)
        done = project.lock()
        assert done.returncode == 0, done.stderr
        yield project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of it to spoil, and the index as it was."""
    shutil.copytree(made.folder, tmp_path / "project")
    before = {name: list(files) for name, files in made.index.projects.items()}
    yield Project(tmp_path / "project", made.index)
    made.index.projects = before


def test_locks_that_were_just_made_satisfy_their_requirements_and_stay_as_they_are(project: Project) -> None:
    before = project.texts()
    done = project.lock("--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{name}: satisfies its requirements" for name in LOCKS]
    assert project.texts() == before
    done = project.lock()
    assert done.stdout.splitlines() == [f"{name}: as resolved" for name in LOCKS]


def test_a_users_own_configuration_of_uv_decides_nothing(project: Project, tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text('resolution = "lowest"\nprerelease = 3\n', encoding="utf-8")
    done = project.lock("--check", XDG_CONFIG_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_newer_version_that_turns_up_with_an_older_date_changes_a_new_lock_alone(project: Project) -> None:
    project.index.add("gamma", "1.5", uploaded="2026-05-02")
    assert project.lock("--check").returncode == 0
    done = project.lock()
    assert done.returncode == 0
    changed = {name for name, text in project.texts().items() if "gamma==1.5" in text}
    assert changed == {"controller.lock", "controller-dev.lock", str(PROFILE_LOCK)}


def test_one_more_file_of_a_locked_version_changes_a_new_lock_alone(project: Project) -> None:
    digest = project.index.add("gamma", "1.0", uploaded="2026-05-02", build="1")
    assert project.lock("--check").returncode == 0
    project.lock()
    assert digest in project.texts()["controller.lock"]


def test_a_locked_version_that_was_yanked_is_still_what_is_locked(project: Project) -> None:
    project.index.projects["gamma"] = [one | {"yanked": "broken"} for one in project.index.projects["gamma"]]
    done = project.lock("--check")
    assert done.returncode == 0, done.stderr


def test_a_file_that_the_index_has_lost_is_still_locked(project: Project) -> None:
    project.index.add("gamma", "1.0", uploaded="2026-05-02", build="1")
    assert project.lock().returncode == 0
    del project.index.projects["gamma"][0]
    done = project.lock("--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "lock", "named"),
    [
        # A requirement that the locks no longer satisfy, one more, and one less.
        ("pyproject.toml", "alpha>=1", "alpha>=2", "controller.lock", "alpha==2.0"),
        ("pyproject.toml", '"alpha>=1"', '"alpha>=1", "delta"', "controller.lock", "resolves to: delta==1.0"),
        ("pyproject.toml", '["beta"]', "[]", "controller-dev.lock", "stands: beta==1.0"),
        ("pyproject.toml", "uv==1.0", "uv==1.1", LOCKS[0], "resolves to: uv==1.1"),
        ("pyproject.toml", "rattler==1.0", "rattler==1.1", LOCKS[1], "resolves to: py-rattler==1.1"),
        ("profiles/small/base.in", "alpha", "alpha>=2", PROFILE_LOCK, "alpha==2.0"),
        # Nothing has them: there is no solution.
        ("profiles/small/mlx.in", "beta", "beta>7", PROFILE_LOCK, "beta>7"),
        # A lock itself: another version, another hash, an additional package.
        ("controller.lock", "gamma==1.0", "gamma==1.1", "controller.lock", "gamma==1.1"),
        (LOCKS[0], "    --hash", f"{FORGED} \\\n    --hash", LOCKS[0], "stands: uv==1.0 --hash=sha256:0000"),
        (LOCKS[3], "beta==", f"delta==1.0 \\\n{FORGED}\nbeta==", LOCKS[3], "stands: delta==1.0"),
        (PROFILE_LOCK, "    # via alpha\n", "", PROFILE_LOCK, "resolves to: gamma==1.0 # via alpha"),
    ],
)  # fmt: skip
def test_what_no_longer_belongs_together_is_named(
    project: Project, file: str, old: str, new: str, lock: str | Path, named: str
) -> None:
    project.index.add("alpha", "2.0", uploaded="2026-05-02")
    project.index.add("gamma", "1.1", uploaded="2026-05-02")
    project.index.add("delta", "1.0", uploaded="2026-05-02")
    project.index.add("uv", "1.1", uploaded="2026-05-02")
    project.index.projects["py-rattler"] += [
        project.index.projects["py-rattler"][0] | {"filename": "py_rattler-1.1-py3-none-any.whl"}
    ]
    project.edit(file, old, new)
    before = project.texts()
    done = project.lock("--check")
    assert done.returncode == 1, done.stderr
    assert str(lock) in done.stderr
    assert named in done.stderr
    assert re.search(r"^[1-5] lock file\(s\) are out of date: run ", done.stderr, re.MULTILINE)
    assert project.texts() == before


def test_a_lock_that_is_no_solution_is_found_though_its_digests_agree(project: Project) -> None:
    """As after a merge that somebody wrote new digests for."""
    made = subprocess.run(
        [
            sys.executable, "-c",
            "import sys; from pathlib import Path; from verify.profile.lock import render\n"
            "from verify.profile import model\n"
            "path, body = Path(sys.argv[1]), Path(sys.argv[1]).read_text().split('\\n', 3)[3]\n"
            "body = body.replace('gamma==1.0', 'gamma==2.0')\n"
            "path.write_text(render(body, inputs=model.load('small').lock_inputs('linux-x86_64')))",
            PROFILE_LOCK,
        ],
        cwd=project.folder, check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "gamma==2.0" in project.texts()[str(PROFILE_LOCK)]
    project.index.add("gamma", "2.0", uploaded="2026-05-02")
    done = project.lock("--check")
    assert done.returncode == 1
    assert f"{PROFILE_LOCK}:" in done.stderr
    assert "stands: gamma==2.0" in done.stderr


def test_a_profile_alone_wherever_it_lies(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = project.texts()
    folder = tmp_path_factory.mktemp("mine") / "lecture"
    shutil.copytree((project.folder / PROFILE_LOCK).parent, folder)
    (folder / "profile.yml").write_text(PROFILE.replace("name: small", "name: lecture"), encoding="utf-8")
    lock = folder / PROFILE_LOCK.name
    was = lock.read_text(encoding="utf-8")
    lock.unlink()
    assert project.lock("--check", "--profile", str(folder)).returncode == 1
    done = project.lock("--profile", str(folder))
    assert (done.returncode, done.stdout) == (0, f"{lock}: written\n")
    assert lock.read_text(encoding="utf-8") == was
    assert project.lock("--check", "--profile", str(folder)).stdout == f"{lock}: satisfies its requirements\n"
    assert project.lock("--check", "--profile", "small").stdout == f"{PROFILE_LOCK}: satisfies its requirements\n"
    assert project.texts() == before


def test_a_missing_lock_is_named(project: Project) -> None:
    (project.folder / "controller.lock").unlink()
    done = project.lock("--check")
    assert done.returncode == 1
    assert "controller.lock is missing" in done.stderr
    assert "resolves to" not in done.stderr


def test_an_index_that_does_not_answer_is_neither_good_nor_bad(project: Project) -> None:
    done = project.lock("--check", index="http://127.0.0.1:9/simple")
    assert done.returncode == 2
    assert "uv could not resolve" in done.stderr
    assert "Traceback" not in done.stderr
