"""Words of others: names, digests, addresses and paths have a form; nothing is written outside a bundle's folder."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from verify.bundle import allowed, channel, seal
from verify.bundle.fetch import fetch
from verify.errors import UserError
from verify.profile import model as profiles

from .conftest import Site
from .test_bottles import TAG, collect, manifest, publish

NAMES = [
    "../x",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a b",
    "a\n",
    "a\0",
    "-rf",
    ".ssh",
    "$(x)",
    "é",
    "a" * 256,
    None,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(UserError, match="no name of a file or a package"):
        allowed.name(name)


def test_names_that_there_are() -> None:
    for name in (
        "openssl@3",
        "_libgcc_mutex-0.1-main.tar.bz2",
        "sha256:0",
        "numpy-1!2.0+cpu-py3.whl",
        "gtk+3",
        "1.2_1-1",
    ):
        assert allowed.name(name) == name


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", "", None, 1])
def test_a_digest_that_is_none_is_refused(digest: Any) -> None:
    with pytest.raises(UserError, match="no SHA-256"):
        allowed.digest(digest)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    bundle, outside = tmp_path / "bundle", tmp_path / "outside"
    bundle.mkdir()
    outside.mkdir()
    assert allowed.inside(bundle, "a/b") == bundle / "a" / "b"
    (bundle / "a").symlink_to(outside)
    for relative in ("a/b", "a"):
        with pytest.raises(UserError, match="is a link"):
            allowed.inside(bundle, relative)
    for name in ("file", "file.part"):
        (bundle / name).symlink_to(outside / "x")
        with pytest.raises(UserError, match="is a link"):
            fetch((tmp_path / "any").as_uri(), bundle / "file", "0" * 64)
        (bundle / name).unlink()
    assert list(outside.iterdir()) == []


def ends_inside(folder: Path) -> None:
    """All that was written lies in the bundle's folder."""
    assert {path.name for path in folder.parent.iterdir()} <= {"bundle"}


HOSTILE: list[dict[str, Any]] = [
    {"dependencies": ["../../../x"]},
    {"dependencies": ["/etc/x"]},
    {"dependencies": [None]},
    {"dependencies": [{"a": 1}]},
    {"name": "../../../x"},
    {"name": "-x"},
    {"versions": {"stable": "../../../../../x"}},
    {"versions": {"stable": "1.2/../../x"}},
    {"revision": "/../../x"},
]


@pytest.mark.parametrize("more", HOSTILE)
def test_an_api_leads_to_no_path_outside(web: Site, tmp_path: Path, more: dict[str, Any]) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    publish(web, "tool", **{key: value for key, value in more.items() if key != "name"})
    manifest(web, "tool", "1.2")
    page = json.loads(web.pages["/api/formula/tool.json"]) | more
    web.pages["/api/formula/tool.json"] = json.dumps(page).encode()
    with pytest.raises(UserError):
        collect(web, folder, "tool")
    ends_inside(folder)


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        ("https://ghcr.io/v2/../../../x", ""),
        ("https://ghcr.io/v2/homebrew/core/tool/blobs/sha256:0", ""),
        ("https://ghcr.io/v2/homebrew/core/tool/blobs/../../x", ""),
        ("https://ghcr.io.evil.org/v2/x", ""),
        ("", "../../../x"),
        ("", "0" * 64),
        (None, ""),
    ],
)
def test_a_bottles_address_and_digest_belong_together(web: Site, tmp_path: Path, url: Any, digest: str) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    page = publish(web, "tool")
    manifest(web, "tool", "1.2")
    file = page["bottle"]["stable"]["files"][TAG]
    file["url"] = url if url != "" else file["url"]
    file["sha256"] = digest or file["sha256"]
    web.pages["/api/formula/tool.json"] = json.dumps(page).encode()
    with pytest.raises(UserError):
        collect(web, folder, "tool")
    assert not list(folder.rglob("blobs"))
    ends_inside(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../../../x"},
        {"file": "a/b.conda"},
        {"subdir": "../.."},
        {"subdir": "win-64"},
        {"url": "ftp://x/y.conda"},
        {"url": "-x"},
        {"record": {"sha256": "../x"}},
    ],
)
def test_a_channels_records_lead_to_no_path_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    one = {"url": "https://c/x.conda", "file": "x-1-0.conda", "subdir": "noarch", "record": {"sha256": "0" * 64}}
    monkeypatch.setattr(channel, "_solve", lambda _: [{**one, **changes}])
    monkeypatch.setattr(channel, "fetch", lambda *_: pytest.fail("it was fetched"))
    with pytest.raises(UserError):
        channel.collect(folder, "conda-forge", ["python"], profiles.load("ml-m1").platform("darwin-arm64"))
    ends_inside(folder)


def test_a_bundle_with_a_link_is_not_sealed(tmp_path: Path) -> None:
    profile = profiles.load("ml-m1")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    assert seal.seal(tmp_path, profile, ["darwin-arm64"])
    assert not seal.seal(tmp_path, profile, ["darwin-arm64"])
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UserError, match="b is a link, and a bundle has none"):
        seal.seal(tmp_path, profile, ["darwin-arm64"])
    (tmp_path / "b").unlink()
    (tmp_path / "bundle.json").write_text('{"holds": ["../x"], "locks": {}}', encoding="utf-8")
    with pytest.raises(UserError, match="is not what a bundle says of itself"):
        seal.seal(tmp_path, profile, ["darwin-arm64"])


def test_a_bundle_with_what_is_no_file_is_not_sealed(tmp_path: Path) -> None:
    profile = profiles.load("ml-m1")
    os.mkfifo(tmp_path / "a")
    with pytest.raises(UserError, match="a is no file"):
        seal.seal(tmp_path, profile, ["darwin-arm64"])
    (tmp_path / "a").unlink()
    for name in (seal.SUMS, seal.ABOUT):
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match="Needed: a file, or nothing"):
            seal.seal(tmp_path, profile, ["darwin-arm64"])
        (tmp_path / name).rmdir()


def test_what_a_bundle_says_of_itself_is_what_is_read(tmp_path: Path) -> None:
    assert set(seal.PARTS) <= set(allowed.PARTS)
    profile = profiles.load("ml-m1")
    seal.seal(tmp_path, profile, ["darwin-arm64", "linux-x86_64"])
    found = allowed.about((tmp_path / "bundle.json").read_text(encoding="utf-8"))
    assert set(found.locks) == {"darwin-arm64", "linux-x86_64"}
