"""Action `sources`: where a machine gets everything from: a bundle, the lab's cache, or outside."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ansible.utils.display import Display

from ...verify import documents, text
from ...verify.bundle import allowed
from ...verify.errors import UserError
from ...verify.profile import model as profiles
from ...verify.profile.lock import content_digest
from ..module_utils import bundle_files
from ..plugin_utils.action import Action

PATIENCE_S = 900
"""How long a machine waits for a file that the cache is fetching for another one."""
# Each Mac has curl; a Linux machine that Ansible manages has python3.
ASK = (
    'if command -v curl >/dev/null; then curl -fsS --noproxy "*" --max-time 5 --retry 2 --retry-connrefused "$1" 2>&1; '
    'else python3 -c "import sys, urllib.request as r; '
    "print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5).read().decode())"
    '" "$1" 2>&1; fi'
)
MAKE = "Make it again: .venv/bin/ansible-playbook playbooks/bundle.yml -e bundle=FOLDER"


class UnservedError(Exception):
    """The cache or the bundle cannot serve this machine: what was found, what is needed, what to do."""


@dataclass(frozen=True)
class Source:
    """Where files come from.

    Attributes:
        base: an address without a slash at its end; the parts lie below it.
        folder: the bundle's folder, None for a cache.
        holds: its parts (verify/bundle/allowed.py).
        locks: for a bundle, by platform the digest of the lock that it was made for.
    """

    base: str
    folder: Path | None
    holds: frozenset[str]
    locks: dict[str, str]


def read(text: str, base: str, folder: Path | None) -> Source:
    """Read what a cache answers, or a bundle's bundle.json.

    Raises:
        UnservedError: it is something else.
    """
    try:
        found = allowed.about(text)
    except UserError as error:
        what = f"{folder}/bundle.json" if folder else f"{base}/health"
        raise UnservedError(
            f"{what} is not what a bundle or a cache says of itself ({error}): {text[:200]!r}"
        ) from error
    return Source(base, folder, found.holds, found.locks)


def bundle_in(folder: Path) -> Source:
    """A bundle in a folder of this machine.

    Raises:
        UnservedError: there is none, or it is not as it was made.
    """
    try:
        text = documents.read_text(folder / "bundle.json")
    except documents.MalformedError as error:
        raise UnservedError(f"There is no bundle in {folder}: its bundle.json, {error}. {MAKE}") from error
    if said := bundle_files.problems(folder):
        raise UnservedError(f"The bundle in {folder} is not as it was made: {bundle_files.summary(said)}. {MAKE}")
    return read(text, f"file://{quote(str(folder))}", folder)


def needs(host: dict[str, Any]) -> list[str]:
    """The parts that a machine cannot do without."""
    mac = ["homebrew-git", "homebrew-api", "homebrew-bottles"] if host["system"] == "Darwin" else []
    return ["index", *mac, *(["miniforge", "conda"] if host["provider"] == "conda" else [])]


def variables(source: Source, host: dict[str, Any], given: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    """What the roles are to be told.

    Args:
        source: where files come from.
        host: the fact preflight_host.
        given: the machine's variables as the inventory has them; what stands there wins.
        strict: nothing may come from elsewhere.
    """
    base, holds = source.base, source.holds
    brew: dict[str, str] = {}
    environment: dict[str, str] = {}
    found: dict[str, Any] = {"package_index": f"{base}/index/simple"}
    if "conda" in holds:
        found["conda_env_channels"] = [f"{base}/conda/conda-forge"]
    if "miniforge" in holds:
        found["miniforge_mirror"] = f"{base}/miniforge"
    if "homebrew-git" in holds:
        found["homebrew_git_remote"] = f"{base}/git/brew.git"
    if "homebrew-api" in holds:
        brew["HOMEBREW_API_DOMAIN"] = f"{base}/homebrew/api"
    if "homebrew-bottles" in holds:
        brew["HOMEBREW_ARTIFACT_DOMAIN"] = f"{base}/homebrew"
        if strict:
            brew["HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK"] = "1"
    if "command-line-tools" in holds:
        place = "packages/CommandLineTools.pkg"
        found["command_line_tools_package"] = str(source.folder / place) if source.folder else f"{base}/{place}"
    if "python" in holds:
        environment["UV_PYTHON_INSTALL_MIRROR"] = f"{base}/python"
    if strict and host["system"] != "Darwin":
        # Else uv asks the profile's own page for PyTorch's CPU build.
        environment["UV_FIND_LINKS"] = (
            str(source.folder / "index" / "files") if source.folder else f"{base}/index/simple/torch/"
        )
    if source.folder is None:
        environment |= _for_http(base, given.get("target_environment") or {})
    # Homebrew's mirror settings are for what it builds itself; casks come from their makers (Homebrew/brew,
    # Library/Homebrew/download_strategy/curl_download_strategy.rb: only ghcr.io's addresses are replaced).
    if strict and host["system"] == "Darwin":
        found["homebrew_casks"] = []
    kept = {name: value for name, value in found.items() if not given.get(name)}
    return {
        **kept,
        "homebrew_environment": brew | (given.get("homebrew_environment") or {}),
        "target_environment": environment | (given.get("target_environment") or {}),
    }


def _for_http(base: str, given: dict[str, str]) -> dict[str, str]:
    """What pip, uv and conda must know of a cache that speaks HTTP and makes them wait."""
    where = urlsplit(base)
    environment = {
        "PIP_TRUSTED_HOST": where.netloc,
        "PIP_DEFAULT_TIMEOUT": str(PATIENCE_S),
        "UV_HTTP_TIMEOUT": str(PATIENCE_S),
        "CONDA_REMOTE_READ_TIMEOUT_SECS": str(PATIENCE_S),
    }
    if any(name.upper() in {"HTTP_PROXY", "ALL_PROXY"} for name in given):
        environment["NO_PROXY"] = environment["no_proxy"] = str(where.hostname)
    return environment


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Decide, and say so where it is not what the inventory asks for."""
        host, name = options["host"], task_vars["inventory_hostname"]
        # The inventory's own, and -e's. Among a task's variables are the roles' defaults as well, from the moment on at
        # which another machine has come to the role.
        given = task_vars["hostvars"][name]
        strict = options["strict"] or bool(options["bundle"])
        try:
            source = self._choose(options["cache"], options["bundle"])
            self._check(source, host, given, strict=strict)
        except UnservedError as error:
            if strict:
                raise UserError(f"Nothing was changed. {error}") from error
            why = text.line(str(error))
            Display().warning(f"{name}: {why} Going on without the cache, since cache_strict is not set.")
            return {"variables": {}}
        found = variables(source, host, given, strict=strict)
        if "homebrew_casks" in found:
            Display().warning(f"{name}: casks come from their makers' own addresses only, so they are left out here.")
        return {"variables": found}

    def _choose(self, cache: str, bundle: str) -> Source:
        local = self._connection.transport == "local"
        if bundle and local:
            return bundle_in(Path(bundle).resolve())
        if not cache:
            raise UnservedError(
                "A machine that is reached over SSH gets a bundle through the lab's cache, and the inventory has none. "
                "Put a machine that has the bundle's folder into the group `cache`, and run playbooks/cache.yml there."
            )
        if urlsplit(cache).hostname in {"localhost", "127.0.0.1", "::1"} and not local:
            raise UnservedError(
                f"The cache's address would be {cache}, which every machine takes for itself. Set cache_address to the "
                "name or address under which the lab reaches it."
            )
        done = self.shell(f"/bin/sh -c {shlex.quote(ASK)} ask {shlex.quote(f'{cache}/health')}")
        if done["rc"] != 0:
            said = f"{done['stdout']}{done['stderr']}".strip().splitlines()
            raise UnservedError(
                f"The cache at {cache} does not answer this machine ({said[-1] if said else 'no answer'}). Is its "
                "machine up, and its nginx? `playbooks/cache.yml` starts it."
            )
        return read(done["stdout"], cache, None)

    def _check(self, source: Source, host: dict[str, Any], given: Mapping[str, Any], *, strict: bool) -> None:
        own = {"homebrew-git": "homebrew_git_remote", "miniforge": "miniforge_mirror", "conda": "conda_env_channels"}
        lacking = [part for part in needs(host) if part not in source.holds and not given.get(own.get(part, ""))]
        if strict and lacking:
            raise UnservedError(
                f"{source.folder or source.base} does not have: {', '.join(lacking)}. For a cache set the addresses "
                "that are still empty (roles/lab_cache/README.md) and run playbooks/cache.yml; for a bundle see what "
                "playbooks/bundle.yml said. With env_provider=uv neither conda nor Miniforge is needed."
            )
        if source.locks:
            platform = host["platform"]
            wanted = content_digest(profiles.load(host["profile"]).lock_path(platform))
            if source.locks.get(platform) != wanted:
                known = "another state of its lock" if platform in source.locks else ", ".join(source.locks)
                raise UnservedError(
                    f"The bundle is not for {host['profile']} on {platform} as it is now (it knows {known}). {MAKE}"
                )
