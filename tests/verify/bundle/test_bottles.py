"""Homebrew's bottles: which ones are collected, from where, and what is said of those that cannot be had."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from verify.bundle import bottles
from verify.errors import UserError

from .conftest import Site

TAG = "arm64_sequoia"


def publish(web: Site, name: str, *, tags: tuple[str, ...] = (TAG,), **more: Any) -> dict[str, Any]:
    """Put a formula's page, manifests and bottles on the site; returns the page."""
    page = {
        "name": name,
        "versions": {"stable": "1.2"},
        "revision": 0,
        "dependencies": [],
        "bottle": {"stable": {"rebuild": 0, "files": {}}},
        **more,
    }
    image = name.replace("@", "/").replace("+", "x")
    for tag in tags:
        content = f"{name} for {tag}".encode()
        digest = hashlib.sha256(content).hexdigest()
        blob = f"homebrew/core/{image}/blobs/sha256:{digest}"
        page["bottle"]["stable"]["files"][tag] = {"url": f"https://ghcr.io/v2/{blob}", "sha256": digest}
        web.pages[f"/v2/{blob}"] = content
    web.pages[f"/api/formula/{name}.json"] = json.dumps(page).encode()
    return page


def collect(web: Site, folder: Path, *formulae: str, tags: tuple[str, ...] = (TAG,)) -> list[str]:
    for tag in tags:
        web.pages[f"/api/internal/packages.{tag}.jws.json"] = f"signed for {tag}".encode()
    return bottles.collect(folder, formulae, tags, f"{web.url}/api", f"{web.url}/v2")


def manifest(web: Site, image: str, version: str) -> None:
    web.pages[f"/v2/homebrew/core/{image}/manifests/{version}"] = f"manifest of {image} {version}".encode()


def test_a_bottle_comes_with_all_that_it_needs(web: Site, tmp_path: Path) -> None:
    publish(web, "tool", dependencies=["lib", "openssl@3"], variations={"other": {"dependencies": ["nothing"]}})
    publish(web, "lib", dependencies=["openssl@3"])
    publish(web, "openssl@3")
    for image in ("tool", "lib", "openssl/3"):
        manifest(web, image, "1.2")
    fetched = collect(web, tmp_path, "tool", "lib")
    assert {one.split("/")[4] for one in fetched} == {"tool", "lib", "openssl"}
    assert len(fetched) == 3
    assert all(hashlib.sha256((tmp_path / one).read_bytes()).hexdigest() == one.rpartition(":")[2] for one in fetched)
    assert (tmp_path / "homebrew/v2/homebrew/core/openssl/3/manifests/1.2").read_text() == "manifest of openssl/3 1.2"
    api = tmp_path / "homebrew" / "api" / "internal" / f"packages.{TAG}.jws.json"
    assert api.read_text() == f"signed for {TAG}"
    asked = [path for path, _ in web.asked]
    assert len(asked) == len(set(asked))  # each page once

    web.asked.clear()
    api.write_text("old")
    assert collect(web, tmp_path, "tool", "lib") == []
    assert api.read_text() == f"signed for {TAG}"
    assert not any("/blobs/" in path for path, _ in web.asked)


def test_whom_the_registry_answers(web: Site, tmp_path: Path) -> None:
    publish(web, "tool")
    manifest(web, "tool", "1.2")
    collect(web, tmp_path, "tool")
    headers = {path.split("/")[-2]: given for path, given in web.asked}
    assert {name: one.get("Authorization") for name, one in headers.items()} == {
        "internal": None,
        "formula": None,
        "manifests": "Bearer QQ==",
        "blobs": "Bearer QQ==",
    }
    assert headers["manifests"]["Accept"] == "application/vnd.oci.image.index.v1+json"


def test_each_mac_gets_what_it_needs(web: Site, tmp_path: Path) -> None:
    """A formula may need other packages on one system, and one bottle may be for all of them."""
    tags = (TAG, "arm64_sonoma")
    publish(web, "tool", tags=tags, dependencies=["lib"], variations={"arm64_sonoma": {"dependencies": ["old"]}})
    publish(web, "lib", tags=("all",))
    publish(web, "old", tags=("arm64_sonoma", "all"))
    for image in ("tool", "lib", "old"):
        manifest(web, image, "1.2")
    fetched = collect(web, tmp_path, "tool", tags=tags)
    content = sorted((tmp_path / one).read_text() for one in fetched)
    assert content == ["lib for all", "old for arm64_sonoma", "tool for arm64_sequoia", "tool for arm64_sonoma"]
    assert sum(path.endswith("/tool.json") for path, _ in web.asked) == 1
    assert {path.name for path in (tmp_path / "homebrew" / "api" / "internal").iterdir()} == {
        f"packages.{tag}.jws.json" for tag in tags
    }


@pytest.mark.parametrize(
    ("tags", "poured"),
    [
        (("arm64_golden_gate", "arm64_tahoe"), "arm64_golden_gate"),
        (("arm64_sonoma", "arm64_tahoe", "arm64_sequoia"), "arm64_tahoe"),
        (("arm64_sonoma", "sequoia"), "arm64_sonoma"),
        (("arm64_sequoia", "all"), "all"),
    ],
)
def test_where_a_new_macos_has_no_bottle_yet_it_gets_that_of_an_older_one(
    web: Site, tmp_path: Path, tags: tuple[str, ...], poured: str
) -> None:
    publish(web, "tool", tags=tags)
    manifest(web, "tool", "1.2")
    (fetched,) = collect(web, tmp_path, "tool", tags=("arm64_golden_gate",))
    assert (tmp_path / fetched).read_text() == f"tool for {poured}"


@pytest.mark.parametrize(
    ("name", "revision", "rebuild", "manifest_of"),
    [
        ("a++", 0, 0, ("axx", "1.2")),
        ("a", 3, 0, ("a", "1.2_3")),
        ("a", 0, 2, ("a", "1.2-2")),
        ("a@4", 1, 1, ("a/4", "1.2_1-1")),
    ],
)
def test_where_a_manifest_lies(
    web: Site, tmp_path: Path, name: str, revision: int, rebuild: int, manifest_of: tuple[str, str]
) -> None:
    publish(web, name, revision=revision, bottle={"stable": {"rebuild": rebuild, "files": {}}})
    manifest(web, *manifest_of)
    assert len(collect(web, tmp_path, name)) == 1


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (b"<html>", "tool.json is no JSON: b'<html>'"),
        (b"x" * 300, f"is no JSON: b'{'x' * 200}'"),
        (b"{}", r"has another form than is known \(KeyError\('bottle'\)\)"),
        (b"[]", "has another form than is known .*verify/bundle/bottles.py names what is read"),
        (b'{"bottle": null}', "has another form than is known"),
    ],
)
def test_a_page_that_is_none(web: Site, tmp_path: Path, page: bytes, said: str) -> None:
    web.pages["/api/formula/tool.json"] = page
    with pytest.raises(UserError, match=said):
        collect(web, tmp_path, "tool")


def test_bottles_that_cannot_be_had(web: Site, tmp_path: Path) -> None:
    publish(web, "tool", tags=("arm64_tahoe", "x86_64_linux"))
    for tag in (TAG, "arm64_later"):
        with pytest.raises(UserError, match=f"no bottle of tool for {tag}, only for arm64_tahoe, x86_64_linux"):
            collect(web, tmp_path, "tool", tags=(tag,))
    page = publish(web, "tool")
    page["bottle"]["stable"]["files"][TAG]["url"] = "https://elsewhere/x"
    web.pages["/api/formula/tool.json"] = json.dumps(page).encode()
    with pytest.raises(
        UserError, match="bottle of tool lies elsewhere than in Homebrew's registry: https://elsewhere/x"
    ):
        collect(web, tmp_path, "tool")
