"""What the real conda was recorded to do, held against its stand-in: exit code, each stream, what is left behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from match_spec import InvalidMatchSpec, MatchSpec
from pack_installer import pack

from tests.helpers import conda_transcripts
from tests.helpers.conda_transcripts import ABSENT, COMPACT, is_asked
from tests.helpers.transcripts import Transcript
from tests.helpers.waiting import wait_until

RECORDED = conda_transcripts.transcripts()
pytestmark = pytest.mark.skipif(not RECORDED, reason=ABSENT)

INDEX = [
    ["python", "3.10.13", "h2_0_cpython", "linux-64", ["python_abi=3.10", "pip"]],
    ["python", "3.11.7", "h2_0_cpython", "linux-64", ["python_abi=3.11", "pip"]],
    ["python", "3.12.1", "h2_0_cpython", "linux-64", ["python_abi=3.12", "pip"]],
    *(["python_abi", v, f"0_cp{v.replace('.', '')}", "linux-64", []] for v in ("3.10", "3.11", "3.12")),
    ["pip", "26.0.1", "pyh8b19718_0", "noarch", ["python"]],
    *(["numpy", v, "py311h60f8152_0", "linux-64", ["python"]] for v in ("1.23.5", "1.26.3", "1.26.4", "2.3.5")),
    ["ffmpeg", "8.0.1", "gpl_h6d84c9d_0", "linux-64", []],
    ["htop", "3.4.1", "h7bae524_0", "linux-64", []],
    ["oldlib", "1.0", "py311_0", "linux-64", ["numpy=1.23"]],
    ["msgok-pre", "1.0", "0", "linux-64", []],
]  # fmt: skip
"""The recorded channel, as far as specifications of the stand-in's name it."""

REFUSED = {
    **dict.fromkeys(
        (
            "create-allowlist-channels-same", "create-create-default-packages", "create-create-default-packages-numpy",
            "create-offline-all-cached", "create-offline-index-cached", "create-offline-nothing-cached",
            "create-subdir-base-condarc", "create-subdir-condarc-base-active", "create-subdir-environment",
            "install-already-satisfied-offline", "create-override-channels-enabled-false", "install-pinned-condarc",
        ),
        "the user's settings, which no call of the project's lets in",
    ),
    **dict.fromkeys(
        ("install-pinned-conflict", "install-pinned-conflict-installed", "install-pinned-respected"),
        "pins, with which the recorded solver does otherwise than Miniforge's",
    ),
    **dict.fromkeys(
        ("install-conflict-installed-dependent", "install-other-python", "remove-python"),
        "what a solver does with what is there",
    ),
    **dict.fromkeys(("create-spec-invalid",), "what is no specification"),
}  # fmt: skip
"""Situations that the stand-in does not know, and refuses."""


LEFT_OUT = {
    **dict.fromkeys(("create-readonly-envs", "create-readonly-pkgs", "create-readonly-prefix"), "permissions"),
    **dict.fromkeys(("install-success-clobber", "install-success-message", "remove-message"), "packages with scripts"),
    **dict.fromkeys(
        ("create-connection-refused-cached", "install-already-satisfied-refused"), "what is in conda's cache"
    ),
}
"""Situations that the stand-in cannot tell from others."""


class World:
    """A home with the stand-in in it, in which a recorded situation is made."""

    def __init__(self, folder: Path) -> None:
        self.home, self.room = folder / "home", folder / "room"
        self.root = self.home / "miniforge3"
        self.prefix = self.root / "envs" / "ml-m1"
        self.home.mkdir()
        self.room.mkdir()
        (self.room / "python3.11").symlink_to(sys.executable)
        (self.room / "conda-index.json").write_text(json.dumps(INDEX))
        self.environment = {
            **{name: one for name, one in os.environ.items() if not name.startswith("CONDA")},
            **{"HOME": str(self.home), "STANDIN_ROOM": str(self.room)},
            "PYTHONPATH": str(self.root / "lib" / "python3.11" / "site-packages"),
        }
        pack(folder / "installer.sh")
        self.run("bash", str(folder / "installer.sh"), "-b", "-p", str(self.root))
        self.condarc = (self.root / ".condarc").read_text()

    def reset(self) -> None:
        """As it was installed."""
        for place in (*self.home.iterdir(), self.root / "envs"):
            if place.is_dir() and place != self.root:
                shutil.rmtree(place)
            elif place != self.root:
                place.unlink()
        (self.root / "envs").mkdir()
        (self.root / ".condarc").write_text(self.condarc)
        (self.room / "hang-conda").unlink(missing_ok=True)

    def run(self, *line: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **more}
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)

    def conda(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.root / "bin" / "conda"), *arguments)

    def place(self, text: str) -> str:
        """A recorded text with this world's folders in it."""
        return text.replace("/Users/ana", str(self.home))

    def make(self, before: dict[str, Any], condarc: str | None) -> None:
        """What there was before."""
        prefix = Path(self.place(before["prefix"]))
        meta = before.get("conda_meta") or []
        packages = [re.fullmatch(r"(.+)-([^-]+)-([^-]+)\.json", name) for name in meta]
        wanted = [f"{one[1]}={one[2]}" for one in packages if one]
        if wanted:
            line = ["create", "--prefix", str(prefix), "--yes", "--json", "--quiet", "--override-channels", "-c"]
            made = self.conda(*line, "conda-forge", *wanted)
            assert made.returncode == 0, made.stderr
        elif before["prefix_exists"] and before.get("prefix_top_level") is None:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            prefix.write_text("a file")
        elif before["prefix_exists"]:
            for name in before["prefix_top_level"]:
                (prefix / name).mkdir(parents=True) if name.endswith("/") else (prefix / name).touch()
            prefix.mkdir(parents=True, exist_ok=True)
        if before.get("frozen") is not None:
            (prefix / "conda-meta" / "frozen").write_text(before["frozen"])
        if "state" in meta:
            (prefix / "conda-meta" / "state").write_text(before["state"])
        history = before.get("history")
        if isinstance(history, dict):
            (prefix / "conda-meta" / "history").write_bytes(history["bytes_latin1"].encode("latin-1"))
        elif wanted and history is None:
            (prefix / "conda-meta" / "history").unlink()
        elif wanted:
            (prefix / "conda-meta" / "history").write_text(self.place(str(history)))
        if condarc:
            (self.home / ".condarc").write_text(condarc)

    def after(self, prefix: Path) -> dict[str, Any]:
        """What there is now, of what was recorded."""
        known = self.home / ".conda" / "environments.txt"
        meta = prefix / "conda-meta"
        return {
            "prefix_exists": prefix.exists(),
            "conda_meta": sorted(path.name for path in meta.iterdir()) or None if meta.is_dir() else None,
            "environments_txt": (known.read_text() or None) if known.exists() else None,
        }


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("conda"))


@pytest.fixture
def world(installation: World) -> World:
    """A home with nothing in it but the installation."""
    installation.reset()
    return installation


def test_the_compact_form_is_what_was_recorded() -> None:
    assert json.loads(COMPACT.read_text(encoding="utf-8")) == conda_transcripts.failures()


def line_of(world: World, transcript: Transcript) -> list[str]:
    """What the stand-in is asked. The project always names its channels, also where less was recorded."""
    line = [world.place(one) for one in transcript["argv"][1:]]
    return line if "-c" in line else [line[0], "--override-channels", "-c", "conda-forge", *line[1:]]


def test_what_is_left_out_was_recorded() -> None:
    assert {*REFUSED, *LEFT_OUT, *INIT_REFUSED, *INIT_LEFT_OUT} <= RECORDED.keys()


@pytest.mark.parametrize("name", [name for name, one in RECORDED.items() if is_asked(one) and name not in LEFT_OUT])
def test_the_stand_in_does_what_conda_did(world: World, name: str) -> None:
    one = RECORDED[name]
    world.make(one["before"], one["condarc"])
    prefix = Path(world.place(one["before"]["prefix"]))
    if name == "remove-corrupt-record":
        (prefix / "conda-meta" / "numpy-1.23.5-py311h60f8152_0.json").write_text("{")
    if name.startswith("create-subdir-base") or name == "create-override-channels-enabled-false":
        (world.root / ".condarc").write_text(one["base_condarc"])
    if name in {"install-pinned-conflict", "install-pinned-conflict-installed", "install-pinned-respected"}:
        (prefix / "conda-meta" / "pinned").write_text(one["before"]["pinned"])
    line = [str(world.root / "bin" / "conda"), *line_of(world, one)]
    found = re.search(r"-sig(int|term|kill)(?:-(\w.*))?$", name)
    if found:
        done = interrupted(world, line, found[1], found[2] or "post-link")
    else:
        done = world.run(*line, **{key: world.place(value) for key, value in one["environment"].items()})
    if name in REFUSED:
        assert (done.returncode, "the stand-in does not know" in done.stderr) == (2, True), (done.stdout, done.stderr)
        return
    assert done.returncode == one["exit_code"], done.stderr
    compared = comparable(json.loads(world.place(one["stdout"]))) if one["json"] else world.place(one["stdout"])
    # The recorded channel is at another address, for another platform.
    said = done.stdout.replace("channel.example", "conda.example").replace("osx-arm64", "linux-64")
    assert (comparable(json.loads(said)) if said else "") == compared
    told = [text for text in world.place(one["stderr"]).splitlines() if not text.startswith("  ")]
    assert done.stderr.splitlines() == told
    recorded = {key: one["after"].get(key) or None for key in ("conda_meta", "environments_txt")}
    expected = {**recorded, "prefix_exists": one["after"]["prefix_exists"]}
    if recorded["environments_txt"]:
        expected["environments_txt"] = world.place(recorded["environments_txt"])
    assert world.after(prefix) == expected
    if one["after"].get("history") not in (None, one["before"].get("history")):
        assert last_change(prefix) == last_change_of(world.place(one["after"]["history"]), one["argv"])


def interrupted(world: World, line: list[str], by: str, place: str) -> subprocess.CompletedProcess[str]:
    """Run until it hangs where it is to be ended, and end it."""
    (world.room / "hang-conda").write_text("linking" if by == "kill" and place == "post-link" else place)
    if "slow" in line:
        line.remove("slow")
    process = subprocess.Popen(
        line, env=world.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    state = Path(f"/proc/{process.pid}/wchan")
    wait_until(lambda: "pause" in state.read_text() or is_paused(process.pid), process)
    os.killpg(process.pid, signal.Signals[f"SIG{by.upper()}"])
    out, err = process.communicate()
    return subprocess.CompletedProcess(line, process.returncode, out, err)


def is_paused(process: int) -> bool:
    """Whether it waits for a signal with its handlers in place."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = int(re.findall(r"SigCgt:\s*(\w+)", status)[0], 16)
    return bool(caught & 1 << signal.SIGTERM - 1) and "State:\tS" in status


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what the stand-in leaves out: downloads, packages' addresses, an error report's machine."""
    kept = {key: one for key, one in answer.items() if key not in conda_transcripts.REPORTED}
    if "actions" in kept:
        actions = {key: one for key, one in kept["actions"].items() if key != "FETCH"}
        for kind in {"LINK", "UNLINK"} & actions.keys():
            ones = [{key: value for key, value in one.items() if key != "base_url"} for one in actions[kind]]
            actions[kind] = sorted(ones, key=lambda one: one["name"])
        kept["actions"] = actions
    return kept


def last_change(prefix: Path) -> list[str]:
    return last_change_of((prefix / "conda-meta" / "history").read_text(), ["--override-channels"])


def last_change_of(history: str, argv: list[str]) -> list[str]:
    """The last entry of a history; specifications are a set, and a call without channels is not the project's."""
    lines = re.sub(r"\[version='([^']+)'\]", r"\1", history).replace('"', "'").rpartition("==> ")[2].splitlines()[1:]
    kept = [one for one in lines if "--override-channels" in argv or not one.startswith("# cmd:")]
    return [
        one
        if " specs: " not in one
        else f"{one.partition(':')[0]}: {sorted(re.findall(chr(39) + '(.*?)' + chr(39), one))}"
        for one in kept
        if not one.startswith("# cmd:")
    ]


INIT_REFUSED = ("init-zsh-crlf", "init-zsh-not-utf8-rc", "init-zsh-path-lines")
# Permissions, and half a block.
INIT_LEFT_OUT = ("init-zsh-readonly-home", "init-zsh-readonly-rc", "init-zsh-half-block")


INIT = [name for name, one in RECORDED.items() if one["argv"][1:] == ["init", "zsh"] and name not in INIT_LEFT_OUT]


@pytest.mark.parametrize("name", INIT)
def test_init_does_what_condas_did(world: World, name: str) -> None:
    one = RECORDED[name]
    places = {Path(world.place(place)): text for place, text in one["before"]["rc"].items()}
    for place, text in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, dict):
            place.write_bytes(text["bytes_latin1"].encode("latin-1"))
        elif text is not None:
            place.write_bytes(world.place(text).encode())
    if name == "init-zsh-symlink":
        (world.home / ".zshrc").unlink()
        (world.home / ".zshrc").symlink_to("dotfiles/zshrc")
    environment = {key: world.place(value) for key, value in one["environment"].items()}
    done = world.run(str(world.root / "bin" / "conda"), "init", "zsh", **environment)
    if name in INIT_REFUSED:
        assert done.returncode == 2
        return
    assert done.returncode == one["exit_code"], done.stderr
    assert done.stdout == world.place(one["stdout"]).replace("python3.13", "python3.11")
    for place, text in one["after"]["rc"].items():
        assert Path(world.place(place)).read_bytes().decode() == world.place(text), place


def test_what_the_project_does_not_ask_is_refused(world: World) -> None:
    others = {
        tuple(one["argv"][1:]): name
        for name, one in RECORDED.items()
        if not (is_asked(one) or name.startswith("matchspec") or one["argv"][1:] in (["init", "zsh"], ["--version"]))
    }
    for arguments, name in others.items():
        assert world.conda(*(world.place(part) for part in arguments)).returncode == 2, name


@pytest.mark.parametrize("name", ["matchspec-table", "matchspec-table-channel-alias"])
def test_a_specification_that_the_stand_in_knows_means_what_condas_does(name: str) -> None:
    known = {}
    for spec, names in RECORDED[name]["json"].items():
        try:
            match = MatchSpec(spec)
        except InvalidMatchSpec:
            continue
        known[spec] = names
        records = [one for one in RECORDED[name]["input"]["records"] if re.fullmatch(r"[\d.]+", one["version"])]
        told = [one["name"] for one in records if match.match(one)]
        assert told == [one for one in names if one in {record["name"] for record in records}], spec
    assert {"python=3.11", "python=3.1", "pip"} <= known.keys()
