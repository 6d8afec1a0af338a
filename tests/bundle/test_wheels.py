"""Which wheel of a pin a platform gets, and the pages that name it."""

import hashlib
from pathlib import Path

import pytest

from verify.bundle import seal, wheels
from verify.bundle.fetch import read
from verify.bundle.wheels import Link, choose, links, supported
from verify.errors import UserError
from verify.profile import model as profiles
from verify.profile.lock import Pin

PROFILE = profiles.load("ml-m1")


def names(*offered: str, platform: str, locked: tuple[str, ...] | None = None) -> str | None:
    given = [Link(f"https://index/{name}", name, name) for name in offered]
    pin = Pin("mlx", "0.32.4", locked if locked is not None else offered, frozenset(), frozenset())
    link = choose(pin, given, supported("3.11", PROFILE.platform(platform)))
    return link.name if link else None


PURE = "mlx-0.32.4-py3-none-any.whl"
MAC14 = "mlx-0.32.4-cp311-cp311-macosx_14_0_arm64.whl"
MAC15 = "mlx-0.32.4-cp311-cp311-macosx_15_0_arm64.whl"
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
