"""What preflight sees on a Mac beyond any machine, and what of it stands in the way."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...verify.macos import NEURAL, other_wheel, parse_version, show_version
from ..module_utils.distributions import canonical

HOMEBREW = ("absent", "empty", "brew", "clone", "foreign")
BOTTLES_SINCE = 15
"""The oldest macOS for which Homebrew makes ready-made packages (Homebrew/brew#23928, of September 2026)."""
NEURAL_SINCE = 5
"""The first M whose GPU has neural accelerators (is_nax_available in mlx/backend/metal; mlx#3182)."""
DEVELOPER = ("none", "gone", "incomplete", "licence", "there")
FLAGS = ("sudo_asks", "tools", "shellenv", "conda_writable", "env_writable")
ADMINISTRATORS = "admin"
"""macOS's group of administrators: /etc/sudoers lets it use sudo ("%admin ALL = (ALL) ALL")."""


@dataclass(frozen=True)
class Mac:
    """The Darwin part of what facts.sh printed.

    Attributes:
        macos: its version, "" where it is not known.
        cpu: as machdep.cpu.brand_string says it, for example Apple M5.
        user, uid: who is logged in.
        groups: theirs.
        sudo_asks: whether sudo wants a password.
        tools: whether the Command Line Tools are there.
        developer, developer_at: what xcode-select names, one of DEVELOPER, and where; none, a folder that is gone, one
            without git or python3, one of an Xcode whose licence is not accepted.
        homebrew: what stands in Homebrew's prefix, one of HOMEBREW; clone is one that was cut off.
        homebrew_prefix, homebrew_owner, homebrew_git_owner: where, whose it is, and whose its .git, "" for none.
        homebrew_holds: up to five names in a foreign prefix.
        shellenv: whether a start-up file of the login shell has Homebrew's own line.
        conda, conda_owner: root of the first conda found and whose it is, "" for none.
        conda_writable: whether an environment can be made in it.
        env, env_owner: the environment that the record names and whose it is, "" for none.
        env_writable: whether it can be changed.
        wheels: of its packages, canonical names and the macOS (the number before the dot) that their wheels name.
    """

    macos: str
    cpu: str
    user: str
    uid: int
    groups: tuple[str, ...]
    sudo_asks: bool
    tools: bool
    developer: str
    developer_at: str
    homebrew: str
    homebrew_prefix: str
    homebrew_owner: str
    homebrew_git_owner: str
    homebrew_holds: str
    shellenv: bool
    conda: str
    conda_owner: str
    conda_writable: bool
    env: str
    env_owner: str
    env_writable: bool
    wheels: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Order:
    """What this run is about to do, as far as it decides what is needed.

    Attributes:
        provider: who makes the environment, conda or uv.
        homebrew: whether Homebrew is part of it.
        homebrew_user: who brew runs as, "" for who is logged in.
        password: whether the run has a password for sudo.
    """

    provider: str
    homebrew: bool
    homebrew_user: str
    password: bool


def parse(pairs: dict[str, str]) -> Mac:
    """Read the script's Darwin part strictly.

    Raises:
        KeyError, ValueError: something is missing or has a value of another form.
    """
    if pairs["homebrew"] not in HOMEBREW:
        raise ValueError(f"homebrew={pairs['homebrew']}")
    if pairs["developer"] not in DEVELOPER:
        raise ValueError(f"developer={pairs['developer']}")
    flags = {name: {"0": False, "1": True}[pairs[name]] for name in FLAGS}
    return Mac(
        macos=pairs["macos"],
        cpu=pairs["cpu"],
        user=pairs["user"],
        uid=int(pairs["uid"]),
        groups=tuple(pairs["groups"].split()),
        sudo_asks=flags["sudo_asks"],
        tools=flags["tools"],
        developer=pairs["developer"],
        developer_at=pairs["developer_at"],
        homebrew=pairs["homebrew"],
        homebrew_prefix=pairs["homebrew_prefix"],
        homebrew_owner=pairs["homebrew_owner"],
        homebrew_git_owner=pairs["homebrew_git_owner"],
        homebrew_holds=pairs["homebrew_holds"],
        shellenv=flags["shellenv"],
        conda=pairs["conda"],
        conda_owner=pairs["conda_owner"],
        conda_writable=flags["conda_writable"],
        env=pairs["env"],
        env_owner=pairs["env_owner"],
        env_writable=flags["env_writable"],
        wheels=tuple(_wheel(one) for one in pairs["wheels"].split()),
    )


def _wheel(text: str) -> tuple[str, int]:
    name, _, release = text.partition("=")
    return canonical(name), int(release)


def wheels(mac: Mac, offered: dict[str, tuple[int, ...]]) -> list[str]:
    """A line for a Mac whose wheels are for another macOS than its own: after an upgrade an environment keeps them.

    Args:
        mac: what was seen.
        offered: the releases that have wheels of their own, by package.
    """
    macos = int(mac.macos.partition(".")[0] or 0)
    other = []
    for name, releases in sorted(offered.items()):
        named = [release for one, release in mac.wheels if one == name]
        if best := other_wheel(named, releases, macos):
            other.append(f"{name} (for {max(named)}, there is one for {best})")
    if not other:
        return []
    return [
        f"Wheels in {mac.env} are for another macOS than {mac.macos}: {', '.join(other)}. They are left as they are; "
        "to renew them, take their .dist-info folders out of site-packages, and run this again."
    ]


def problems(mac: Mac, order: Order) -> list[str]:
    """What stands in the way: what was found, what is needed, what to do."""
    return [*_developer(mac), *_homebrew(mac, order), *_sudo(mac, order), *_environment(mac, order)]


def notes(mac: Mac, order: Order) -> list[str]:
    """What does not stand in the way, but costs something; one line each. `macos` was found to be a version before."""
    version = parse_version(mac.macos)
    told = []
    if order.homebrew and version[0] < BOTTLES_SINCE:
        told.append(
            f"Homebrew makes no ready-made packages for macOS {mac.macos} any more (Tier 3): what is newer than its "
            "last ones is built here, which takes long or fails. Update macOS, or do without (homebrew_enabled: false)."
        )
    chip = re.fullmatch(r"Apple M(\d+)(?: (?:Pro|Max|Ultra))?", mac.cpu)
    if chip and int(chip[1]) >= NEURAL_SINCE and version < NEURAL:
        told.append(
            f"on macOS {mac.macos} the neural accelerators of this {mac.cpu} lie idle: MLX uses them from "
            f"{show_version(NEURAL)} on, and multiplies 16-bit numbers about three times as fast (mlx#3821). Update "
            "macOS, then run ./converge again."
        )
    return told


def _needing_root(mac: Mac, order: Order) -> list[str]:
    """What this run would do with sudo."""
    wants = [] if mac.tools else ["install the Command Line Tools"]
    if order.homebrew and mac.homebrew in ("absent", "empty", "clone"):
        wants.append(f"make {mac.homebrew_prefix} for Homebrew")
    if order.homebrew and order.homebrew_user not in ("", mac.user):
        wants.append(f"run brew as {order.homebrew_user}")
    return wants


def _developer(mac: Mac) -> list[str]:
    """What keeps git and python3 from running although there are developer tools."""
    if mac.developer == "licence":
        return [
            f"Found that the licence of Xcode ({mac.developer_at}) is not accepted; until it is, git, clang, python3 "
            "end with exit code 69. Needed: to accept it. Run: sudo xcodebuild -license accept"
        ]
    # Where there are no Command Line Tools, this run installs and chooses them.
    if mac.tools and mac.developer in ("gone", "incomplete"):
        found = "which is not there" if mac.developer == "gone" else "which has no git or no python3"
        return [
            f"Found that the developer tools are looked for in {mac.developer_at}, {found}; git and python3 would open "
            "a window and fail. Needed: the Command Line Tools chosen. Run: sudo xcode-select --switch "
            "/Library/Developer/CommandLineTools; if they are damaged, remove that folder first and run this again."
        ]
    return []


def _homebrew(mac: Mac, order: Order) -> list[str]:
    if not order.homebrew:
        return []
    user = order.homebrew_user or mac.user
    if user == "root":
        return [
            "Found that brew would run as root, which Homebrew refuses. Needed: an ordinary administrator. Set "
            "ansible_user or homebrew_user to one."
        ]
    if mac.homebrew in ("brew", "clone") and mac.homebrew_owner != user:
        return [
            f"Found Homebrew in {mac.homebrew_prefix}, owned by {mac.homebrew_owner}. Needed: to run it as its owner, "
            f"because brew refuses anybody else's files. Set homebrew_user to {mac.homebrew_owner}, or have "
            f"{mac.homebrew_owner} give it to {user}."
        ]
    if mac.homebrew_git_owner not in ("", user):
        return [
            f"Found {mac.homebrew_prefix}/.git, owned by {mac.homebrew_git_owner}, as a git that was run with sudo "
            f"leaves it. Needed: {user}'s own, because git and brew refuse anybody else's. Run: sudo chown -R {user} "
            f"{mac.homebrew_prefix}/.git"
        ]
    if mac.homebrew == "foreign":
        return [
            f"Found files in {mac.homebrew_prefix} that are not Homebrew's ({mac.homebrew_holds}). Needed: an empty or "
            "missing folder, since nothing of somebody else's is overwritten. Move them away."
        ]
    return []


def _sudo(mac: Mac, order: Order) -> list[str]:
    wants = " and ".join(_needing_root(mac, order))
    if not wants or mac.uid == 0 or not mac.sudo_asks:
        return []
    if ADMINISTRATORS not in mac.groups:
        return [
            f"Found that {mac.user} is not an administrator of this Mac (groups: {', '.join(mac.groups)}). Needed, to "
            f"{wants}: one, since it takes sudo. Log in as an administrator (ansible_user), or make {mac.user} one in "
            "System Settings > Users & Groups."
        ]
    if not order.password:
        return [
            f"Found that sudo asks {mac.user} for a password, and this run has none. Needed, to {wants}: the password. "
            "Run again with --ask-become-pass, or keep ansible_become_password in a vault (inventory/lab.example.yml)."
        ]
    return []


def _environment(mac: Mac, order: Order) -> list[str]:
    if mac.env and not mac.env_writable:
        return [
            f"Found the environment {mac.env}, which belongs to {mac.env_owner} and cannot be changed by {mac.user}. "
            f"Needed: to run as {mac.env_owner} (ansible_user), or to have it given to {mac.user}."
        ]
    if order.provider == "conda" and mac.conda and not mac.env and not mac.conda_writable:
        return [
            f"Found conda in {mac.conda}, which belongs to {mac.conda_owner}; {mac.user} can make no environment in "
            "it. Needed: a conda of your own. Set miniforge_prefix to an unused folder, for example ~/miniforge3."
        ]
    return []
