"""Homebrew's ready-made packages (bottles) for a bundle, with what they depend on.

Formats and addresses, as of Homebrew 6.0:
- API: `formula/NAME.json` (docs.brew.sh, "Querying Brew"), with `bottle.stable.files.TAG.{url, sha256}`, `dependencies`
  and `variations.TAG`; `internal/packages.TAG.jws.json`, which brew itself reads and whose signature it checks
  (Homebrew/brew, Library/Homebrew/api/internal.rb and api.rb).
- registry: `homebrew/core/IMAGE/blobs/sha256:DIGEST` and `homebrew/core/IMAGE/manifests/VERSION` (github_packages.rb,
  image_formula_name and version_rebuild; bottle.rb fetches both). With HOMEBREW_ARTIFACT_DOMAIN set, brew puts that in
  the place of https://ghcr.io (download_strategy/curl_download_strategy.rb).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import UserError
from .fetch import fetch, read

REGISTRY_IN_API = "https://ghcr.io/v2/"
RELEASES = ("sonoma", "sequoia", "tahoe", "golden_gate")
"""macOS 14, 15, 26 and 27 as Homebrew calls them, the oldest first (Library/Homebrew/macos_version.rb)."""
_TOKEN = {"Authorization": "Bearer QQ=="}
"""Who may read what everybody may read (Library/Homebrew/brew.sh, HOMEBREW_GITHUB_PACKAGES_AUTH)."""
_MANIFEST = {"Accept": "application/vnd.oci.image.index.v1+json"}
"""bottle.rb, github_packages_manifest_resource."""


def collect(folder: Path, formulae: Iterable[str], tags: Iterable[str], api: str, registry: str) -> list[str]:
    """Have the bottles of some formulae, and of all that they need, in a bundle.

    Args:
        folder: the bundle's.
        formulae: names in homebrew/core.
        tags: of the Macs: arm64_ and one of RELEASES.
        api: address of Homebrew's API.
        registry: address of the registry, which ends in /v2.

    Returns:
        the files that were fetched, as paths in the bundle.

    Raises:
        UserError: something cannot be had, or the API answers in another form.
    """
    fetched = []
    known: dict[str, dict[str, Any]] = {}
    for tag in tags:
        # Fetched each time: it must know the same versions as the formulae's own pages.
        name = f"homebrew/api/internal/packages.{tag}.jws.json"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(read(f"{api}/internal/packages.{tag}.jws.json"))
        waiting, seen = list(formulae), set[str]()
        while waiting:
            formula = waiting.pop()
            if formula in seen:
                continue
            seen.add(formula)
            if formula not in known:
                known[formula] = _page(api, formula)
            try:
                fetched += _bottle(folder, known[formula], tag, registry)
                waiting += (
                    known[formula]
                    .get("variations", {})
                    .get(tag, {})
                    .get("dependencies", known[formula]["dependencies"])
                )
            except (KeyError, TypeError) as error:
                raise UserError(
                    f"{api}/formula/{formula}.json has another form than is known ({error!r}). Homebrew changed it: "
                    "verify/bundle/bottles.py names what is read."
                ) from error
    return fetched


def _page(api: str, formula: str) -> dict[str, Any]:
    text = read(f"{api}/formula/{formula}.json")
    try:
        page: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise UserError(f"{api}/formula/{formula}.json is no JSON: {text[:200]!r}") from error
    return page


def _poured(tag: str) -> list[str]:
    """The tags of the bottles that brew takes on such a Mac, the best first.

    Where there is none for its macOS, that of an older one (extend/os/mac/utils/bottles.rb, find_older_compatible_tag).
    """
    release = tag.removeprefix("arm64_")
    older = RELEASES[: RELEASES.index(release)] if release in RELEASES else ()
    return [tag, "all", *(f"arm64_{one}" for one in reversed(older))]


def _bottle(folder: Path, page: dict[str, Any], tag: str, registry: str) -> list[str]:
    stable = page["bottle"]["stable"]
    file = next((stable["files"][one] for one in _poured(tag) if one in stable["files"]), None)
    if file is None:
        raise UserError(
            f"Homebrew has no bottle of {page['name']} for {tag}, only for {', '.join(stable['files'])}. Leave it out "
            "of homebrew_formulae, or name other systems in bundle_macos."
        )
    if not file["url"].startswith(REGISTRY_IN_API):
        raise UserError(f"The bottle of {page['name']} lies elsewhere than in Homebrew's registry: {file['url']}")
    blob = file["url"].removeprefix(REGISTRY_IN_API)
    image = page["name"].replace("@", "/").replace("+", "x")
    version = page["versions"]["stable"]
    version += f"_{page['revision']}" if page["revision"] else ""
    version += f"-{stable['rebuild']}" if stable["rebuild"] else ""
    manifest = f"homebrew/core/{image}/manifests/{version}"
    place = folder / "homebrew" / "v2"
    (place / manifest).parent.mkdir(parents=True, exist_ok=True)
    (place / manifest).write_bytes(read(f"{registry}/{manifest}", {**_TOKEN, **_MANIFEST}))
    return [f"homebrew/v2/{blob}"] if fetch(f"{registry}/{blob}", place / blob, file["sha256"], _TOKEN) else []
