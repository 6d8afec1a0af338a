"""Which wheel of a pin a platform gets, and the pages that name it."""

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from verify import macos
from verify.bundle import seal, wheels
from verify.bundle.fetch import read
from verify.bundle.wheels import Link, choose, links, supported
from verify.errors import UserError
from verify.linkcheck import staging
from verify.profile import model as profiles
from verify.profile.lock import Pin, content_digest

from .conftest import Site

PROFILE = profiles.load("ml-m1")


def names(*offered: str, platform: str, locked: tuple[str, ...] | None = None, release: int = 0) -> str | None:
    """What a machine takes; of Macs that with the profile's floor, or with one of the newer releases."""
    given = [Link(f"https://index/{name}", name, name) for name in offered]
    pin = Pin("mlx", "0.32.4", locked if locked is not None else offered, frozenset(), frozenset())
    link = choose(pin, given, supported("3.11", PROFILE.platform(platform))[release])
    return link.name if link else None


PURE = "mlx-0.32.4-py3-none-any.whl"
MAC14 = "mlx-0.32.4-cp311-cp311-macosx_14_0_arm64.whl"
MAC15 = "mlx-0.32.4-cp311-cp311-macosx_15_0_arm64.whl"
MAC26 = "mlx-0.32.4-cp311-cp311-macosx_26_0_arm64.whl"
MAC11 = "mlx-0.32.4-cp311-cp311-macosx_11_0_universal2.whl"
INTEL = "mlx-0.32.4-cp311-cp311-macosx_11_0_x86_64.whl"
OTHER = "mlx-0.32.4-cp312-cp312-macosx_14_0_arm64.whl"
LINUX = "mlx-0.32.4-cp311-cp311-manylinux_2_31_x86_64.manylinux_2_35_x86_64.whl"
OLD_LINUX = "mlx-0.32.4-cp311-abi3-manylinux2014_x86_64.whl"
NEW_LINUX = "mlx-0.32.4-cp311-cp311-manylinux_2_39_x86_64.whl"


@pytest.mark.parametrize(
    ("platform", "offered", "taken"),
    [
        ("darwin-arm64", (PURE, MAC11, MAC14, MAC15, INTEL, OTHER, LINUX), MAC14),
        ("darwin-arm64", (PURE, MAC11, MAC15), MAC11),
        ("darwin-arm64", (PURE, INTEL, OTHER), PURE),
        ("darwin-arm64", (MAC15, INTEL, LINUX), None),
        ("linux-x86_64", (PURE, OLD_LINUX, LINUX, NEW_LINUX, MAC14), LINUX),
        ("linux-x86_64", (OLD_LINUX, NEW_LINUX), OLD_LINUX),
        ("linux-aarch64", (LINUX, PURE), PURE),
    ],
)
def test_the_best_that_the_platform_takes(platform: str, offered: tuple[str, ...], taken: str | None) -> None:
    assert names(*offered, platform=platform) == taken


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ((PURE, MAC11, MAC14, MAC15, MAC26), [MAC14, MAC15, MAC26, MAC26]),
        ((MAC15, MAC14), [MAC14, MAC15, MAC15, MAC15]),
        ((MAC26, PURE), [PURE, PURE, MAC26, MAC26]),
        ((MAC11, PURE, INTEL), [MAC11] * 4),
    ],
)
def test_each_macos_takes_the_newest_wheel_that_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: tuple[str, ...], taken: list[str]
) -> None:
    """Ours and uv's own choice."""
    assert [names(*offered, platform="darwin-arm64", release=number) for number in range(4)] == taken
    for name in offered:
        write_wheel(tmp_path / "mlx" / name)
    (tmp_path / "mlx" / "index.html").write_text("".join(f'<a href="{name}">{name}</a>' for name in offered))
    monkeypatch.setenv("UV_DEFAULT_INDEX", tmp_path.as_uri())
    mac = PROFILE.platform("darwin-arm64")
    for version, name in zip(macos.served((14, 4, 0)), taken, strict=True):
        release = macos.show_version(version)
        folder, at = tmp_path / release, replace(mac, macos_deployment_target=release)
        staging.lay_down_alone(["mlx==0.32.4"], "3.11", at, folder, cache=tmp_path / "cache")
        assert (folder / "chosen").read_text() == name


def write_wheel(path: Path) -> None:
    """A wheel of one file, which says its name."""
    path.parent.mkdir(exist_ok=True)
    tag = path.stem.split("-", 2)[2]
    with zipfile.ZipFile(path, "w") as archive:
        info = "mlx-0.32.4.dist-info"
        archive.writestr("chosen", path.name)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mlx\nVersion: 0.32.4\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", f"chosen,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def test_of_the_same_wheel_on_two_pages_the_first_is_taken() -> None:
    given = [Link(f"https://{page}/{PURE}", PURE, PURE) for page in ("b", "a")]
    pin = Pin("mlx", "0.32.4", (PURE,), frozenset(), frozenset())
    assert choose(pin, given, supported("3.11", PROFILE.platform("linux-x86_64"))[0]) == given[0]


def test_a_wheel_that_the_lock_does_not_name_is_not_taken() -> None:
    assert names(MAC14, PURE, platform="darwin-arm64", locked=(PURE,)) == PURE


def test_links_are_read_as_pep_503_has_them() -> None:
    page = (
        '<a href="../../files/a-1-py3-none-any.whl#sha256=aa" data-requires-python="&gt;=3">a</a>'
        '<a href="https://files/a-1%2Bcpu-py3-none-any.whl#sha256=bb">b</a><a href="a-1.tar.gz#sha256=cc">c</a>'
        '<a href="a-2-py3-none-any.whl">no digest</a>'
    )
    assert list(links(page, "https://index/simple/a/")) == [
        Link("https://index/files/a-1-py3-none-any.whl", "a-1-py3-none-any.whl", "aa"),
        Link("https://files/a-1%2Bcpu-py3-none-any.whl", "a-1+cpu-py3-none-any.whl", "bb"),
    ]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index in a folder, with one wheel for two platforms."""
    page = tmp_path / "index" / "simple" / "mlx"
    page.mkdir(parents=True)
    anchors = ""
    for name in (MAC14, LINUX):
        (page / name).write_bytes(name.encode())
        anchors += f'<a href="{name}#sha256={hashlib.sha256(name.encode()).hexdigest()}">{name}</a>'
    (page / "index.html").write_text(anchors, encoding="utf-8")
    return tmp_path / "index" / "simple"


def pin(*files: str) -> Pin:
    return Pin(
        "mlx", "0.32.4", tuple(hashlib.sha256(one.encode()).hexdigest() for one in files), frozenset(), frozenset()
    )


@pytest.fixture
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder NAME/ means NAME/index.html, as it does to a web server."""
    monkeypatch.setattr(wheels, "read", lambda url, _: read(f"{url}index.html"))


@pytest.mark.usefixtures("_pages")
def test_two_platforms_share_a_bundle_and_its_pages(index: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    for name, file in (("darwin-arm64", MAC14), ("linux-x86_64", LINUX)):
        platform = PROFILE.platform(name)
        first = wheels.collect(bundle, [pin(MAC14, LINUX)], PROFILE, platform, index.as_uri())
        again = wheels.collect(bundle, [pin(MAC14, LINUX)], PROFILE, platform, index.as_uri())
        assert (first, again) == (([file], [file]), ([file], []))
    page = (bundle / "index" / "simple" / "mlx" / "index.html").read_text(encoding="utf-8")
    listed = list(links(page, (bundle / "index" / "simple" / "mlx").as_uri() + "/"))
    assert {one.name for one in listed} == {MAC14, LINUX}
    assert all(
        hashlib.sha256(Path(one.url.removeprefix("file://")).read_bytes()).hexdigest() == one.digest for one in listed
    )


@pytest.mark.usefixtures("_pages")
def test_a_bundle_has_what_every_macos_takes(index: Path, tmp_path: Path) -> None:
    anchors = ""
    for name in (PURE, MAC14, MAC15, MAC26):
        (index / "mlx" / name).write_bytes(name.encode())
        anchors += f'<a href="{name}#sha256={hashlib.sha256(name.encode()).hexdigest()}">{name}</a>'
    (index / "mlx" / "index.html").write_text(anchors)
    machine, locked = PROFILE.platform("darwin-arm64"), pin(PURE, MAC14, MAC15, MAC26)
    every = [MAC14, MAC15, MAC26]
    assert wheels.collect(tmp_path / "bundle", [locked], PROFILE, machine, index.as_uri()) == (every, every)
    assert wheels.collect(tmp_path / "bundle", [locked], PROFILE, machine, index.as_uri()) == (every, [])
    page = (tmp_path / "bundle" / "index" / "simple" / "mlx" / "index.html").read_text()
    assert [one.name for one in links(page, "file:///index/simple/mlx/")] == every


@pytest.mark.usefixtures("_pages")
def test_a_package_without_a_wheel_is_named(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(UserError, match=r"offers no wheel of mlx 0\.32\.4 that darwin-arm64 takes"):
        wheels.collect(tmp_path / "bundle", [pin(LINUX)], PROFILE, PROFILE.platform("darwin-arm64"), index.as_uri())


def test_the_seal_names_every_whole_file(tmp_path: Path) -> None:
    (tmp_path / "index" / "simple").mkdir(parents=True)
    (tmp_path / "index" / "x").write_text("x", encoding="utf-8")
    (tmp_path / "index" / "y.part").write_text("half", encoding="utf-8")
    assert seal.seal(tmp_path, PROFILE, ["darwin-arm64"])
    assert not seal.seal(tmp_path, PROFILE, ["darwin-arm64"])
    assert seal.seal(tmp_path, PROFILE, ["linux-x86_64"])
    sums = (tmp_path / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert [line.split("  ")[1] for line in sums] == ["bundle.json", "index/x"]
    assert sums[1].split()[0] == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize(
    ("tag", "platform", "taken"),
    [
        ("manylinux_2_5_x86_64", "linux-x86_64", True),
        ("manylinux_2_4_x86_64", "linux-x86_64", False),
        ("manylinux1_x86_64", "linux-x86_64", True),
        ("manylinux2010_x86_64", "linux-x86_64", True),
        ("manylinux2014_x86_64", "linux-x86_64", True),
        ("manylinux2014_aarch64", "linux-x86_64", False),
        ("linux_x86_64", "linux-x86_64", True),
        ("linux_aarch64", "linux-aarch64", True),
        ("macosx_11_0_arm64", "darwin-arm64", True),
        ("macosx_10_12_universal2", "darwin-arm64", True),
        ("macosx_11_0_x86_64", "darwin-arm64", False),
    ],
)
def test_platforms_take_what_pip_takes_there(tag: str, platform: str, taken: bool) -> None:
    assert (names(f"mlx-0.32.4-py3-none-{tag}.whl", platform=platform) is not None) is taken


def test_the_newest_that_a_platform_takes_is_its_own() -> None:
    machine = PROFILE.platform("linux-x86_64")
    newest = int(machine.uv_platform.rpartition("_")[2])
    for minor, taken in ((newest, True), (newest + 1, False)):
        name = f"mlx-0.32.4-py3-none-manylinux_2_{minor}_x86_64.whl"
        assert (names(name, platform="linux-x86_64") is not None) is taken
    (known,) = supported("3.11", machine)
    ranked = [one.platform for one in known if one.interpreter == "cp311" and one.abi == "cp311"]
    assert ranked[:2] == [f"manylinux_2_{newest}_x86_64", f"manylinux_2_{newest - 1}_x86_64"]
    assert ranked[ranked.index("manylinux2014_x86_64") - 1] == "manylinux_2_17_x86_64"
    assert ranked[ranked.index("manylinux2010_x86_64") - 1] == "manylinux_2_12_x86_64"
    assert ranked[-3:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    assert str(known[-1]) == "py30-none-any"
    assert "cp311-none-any" in map(str, known)


def test_a_platform_of_another_form_is_refused() -> None:
    odd = replace(PROFILE.platform("linux-x86_64"), uv_platform="x86_64-unknown-linux-musl")
    with pytest.raises(
        UserError, match="for linux-x86_64 cannot be made: its uv_platform is x86_64-unknown-linux-musl"
    ):
        supported("3.11", odd)


def test_what_is_no_wheels_name_is_passed_over() -> None:
    assert names("mlx-0.32.4.whl", PURE, platform="darwin-arm64") == PURE


@pytest.mark.usefixtures("_pages")
@pytest.mark.parametrize(
    ("uv", "pip", "profile", "found"),
    [
        ("here", "nowhere", "nowhere", True),
        (None, "here", "nowhere", True),
        ("", "here", "nowhere", True),
        (None, None, "here", True),
        ("nowhere", "here", "here", False),
        ("nowhere here", None, None, True),
        (None, None, None, False),
    ],
)
def test_wheels_outside_the_index(
    index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uv: str | None,
    pip: str | None,
    profile: str | None,
    found: bool,
) -> None:
    """In folders, where the machine says, else where the profile does; for the package's name as files have it."""
    (index / "mlx-metal").mkdir()
    (index / "mlx-metal" / "index.html").write_text("")
    name = "mlx_metal-1-py3-none-any.whl"
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / name).write_text(name)
    for variable, said in (("UV_FIND_LINKS", uv), ("PIP_FIND_LINKS", pip)):
        if said is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, " ".join(str(tmp_path / one) for one in said.split()))
    machine = replace(PROFILE.platform("linux-x86_64"), find_links=profile and str(tmp_path / profile))
    wanted = replace(pin(name), name="mlx-metal", version="1")

    def collect() -> tuple[list[str], list[str]]:
        return wheels.collect(tmp_path / "bundle", [wanted], PROFILE, machine, index.as_uri())

    if found:
        assert collect() == ([name], [name])
    else:
        with pytest.raises(UserError, match="no wheel of mlx-metal 1"):
            collect()


def test_a_page_outside_the_index(web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that of the package itself is read; and an index is asked for its pages of HTML."""
    digest = hashlib.sha256(b"wheel").hexdigest()
    web.pages["/simple/torch/"] = b""
    web.pages["/whl/torch/"] = f'<a href="torch-1-py3-none-any.whl#sha256={digest}">x</a>'.encode()
    web.pages["/whl/torch/torch-1-py3-none-any.whl"] = b"wheel"
    monkeypatch.setenv("UV_FIND_LINKS", f"{web.url}/whl/torch/ {web.url}/whl/other/")
    wanted = Pin("torch", "1", (digest,), frozenset(), frozenset())
    machine = PROFILE.platform("linux-x86_64")
    name = "torch-1-py3-none-any.whl"
    assert wheels.collect(tmp_path, [wanted], PROFILE, machine, f"{web.url}/simple") == ([name], [name])
    assert [path for path, _ in web.asked] == ["/simple/torch/", "/whl/torch/", f"/whl/torch/{name}"]
    assert web.asked[0][1]["Accept"] == "text/html"


@pytest.mark.usefixtures("_pages")
def test_a_page_names_only_what_is_there(index: Path, tmp_path: Path) -> None:
    bundle, machine = tmp_path / "bundle", PROFILE.platform("darwin-arm64")
    page = bundle / "index" / "simple" / "mlx" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="../../files/mlx-0.1-py3-none-any.whl#sha256=00">x</a>')
    wheels.collect(bundle, [pin(MAC14)], PROFILE, machine, index.as_uri())
    digest = hashlib.sha256(MAC14.encode()).hexdigest()
    assert page.read_text() == (
        "<!DOCTYPE html>\n<html><head><title>mlx</title></head><body>\n"
        f'<a href="../../files/{MAC14}#sha256={digest}">{MAC14}</a><br>\n</body></html>\n'
    )


def test_what_a_bundle_says_that_it_holds(tmp_path: Path) -> None:
    """The parts whose files are there, and each platform's lock, also of an earlier run."""
    for place in ("homebrew/v2", "git/brew.git", "packages"):
        (tmp_path / place).mkdir(parents=True)
    for file in ("packages/CommandLineTools.pkg", "git/brew.git/FETCH_HEAD", "git/brew.git/HEAD"):
        (tmp_path / file).write_text("x")
    assert seal.seal(tmp_path, PROFILE, ["linux-x86_64"])
    assert seal.seal(tmp_path, PROFILE, ["darwin-arm64"])
    text = (tmp_path / "bundle.json").read_text()
    about = {
        "holds": ["homebrew-bottles", "homebrew-git", "command-line-tools"],
        "locks": {name: content_digest(PROFILE.lock_path(name)) for name in ("darwin-arm64", "linux-x86_64")},
        "profile": "ml-m1",
    }
    assert text == json.dumps(about, indent=2) + "\n"
    assert not seal.seal(tmp_path, PROFILE, ["darwin-arm64"])
    sums = (tmp_path / "SHA256SUMS").read_text()
    assert [line[64:] for line in sums.splitlines()] == [
        "  bundle.json",
        "  git/brew.git/HEAD",
        "  packages/CommandLineTools.pkg",
    ]
    (tmp_path / "git" / "brew.git" / "HEAD").write_text("y")
    assert seal.seal(tmp_path, PROFILE, ["darwin-arm64"])
    assert (tmp_path / "bundle.json").read_text() == text
