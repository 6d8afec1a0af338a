"""What the profile's locks and the roles pin, so that no test repeats it."""

import yaml

from verify import ROOT
from verify.profile import model


def locked(package: str, platform: str = "darwin-arm64") -> str:
    """The version of a package in the lock of the course's profile."""
    return model.load("ml-m1").lock(platform).pins[package].version


def homebrew() -> str:
    """The release of Homebrew that the role installs."""
    text = (ROOT / "roles" / "homebrew" / "defaults" / "main.yml").read_text(encoding="utf-8")
    return str(yaml.safe_load(text)["homebrew_version"])
