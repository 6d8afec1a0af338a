"""The action bundle: what each part of a bundle is collected with."""

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionSkip
from ansible_collections.metal_lab.macs.plugins.action import bundle
from ansible_collections.metal_lab.macs.verify.bundle import bottles, channel, seal, wheels
from ansible_collections.metal_lab.macs.verify.errors import UserError
from ansible_collections.metal_lab.macs.verify.profile import model as profiles
from ansible_collections.metal_lab.macs.verify.profile.lock import UV_LOCK, read_pins

from tests.helpers.plugins import run_action

PROFILE = profiles.load("ml-m1")


class Collected:
    """What the collectors were asked for; each tells of a file that it fetched, unless it is told not to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.fetched = True
        for module in (bottles, channel, seal, wheels):
            name = module.__name__.rpartition(".")[2]
            monkeypatch.setattr(module, "seal" if module is seal else "collect", self._collector(name))

    def _collector(self, name: str) -> Any:
        def collect(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            found = [f"{name} {len(self.asked)}"] if self.fetched else []
            return {"wheels": (["all"], found), "seal": self.fetched}.get(name, found)

        return collect

    def __call__(self, part: str, **options: Any) -> dict[str, Any]:
        base = {"part": part, "folder": "/b", "profile": "ml-m1", **options}
        return run_action(bundle.ActionModule, base)


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Collected:
    return Collected(monkeypatch)


BOTH = ["darwin-arm64", "linux-x86_64"]


def test_bottles_are_those_of_the_named_releases_for_apple_silicon(collected: Collected) -> None:
    options = {"formulae": ["git"], "macos": ["sequoia", "tahoe"], "api": "https://api", "registry": "https://r"}
    assert collected("bottles", **options) == {"changed": True, "fetched": ["bottles 1"]}
    tags = ["arm64_sequoia", "arm64_tahoe"]
    assert collected.asked == [("bottles", Path("/b"), ["git"], tags, "https://api", "https://r")]
    collected.fetched = False
    assert collected("bottles", **options) == {"changed": False, "fetched": []}


def test_a_channel_has_the_profiles_python_unless_more_is_asked_for(collected: Collected) -> None:
    result = collected("channel", platforms=BOTH, channel="conda-forge")
    assert result == {"changed": True, "fetched": ["channel 1", "channel 2"]}
    specs = ["python=3.11", "pip"]
    assert collected.asked == [("channel", Path("/b"), "conda-forge", specs, PROFILE.platform(name)) for name in BOTH]
    collected("channel", platforms=BOTH[:1], channel="conda-forge", specs=["python", "ffmpeg"])
    assert collected.asked[2][3] == ["python", "ffmpeg"]


def test_wheels_are_those_of_the_selection_and_uv(collected: Collected) -> None:
    result = collected("wheels", platforms=BOTH, index="https://index/simple")
    assert result == {"changed": True, "fetched": ["wheels 1", "wheels 2"]}
    for name, (kind, folder, pins, profile, platform, index) in zip(BOTH, collected.asked, strict=True):
        assert (kind, folder, index) == ("wheels", Path("/b"), "https://index/simple")
        assert (profile.name, platform) == ("ml-m1", PROFILE.platform(name))
        assert pins[: len(read_pins(UV_LOCK))] == list(read_pins(UV_LOCK))
        assert {"uv", "numpy", "mlx", "torch"} <= {pin.name for pin in pins}
        assert len({pin.name for pin in pins}) == len(pins)
    collected("wheels", platforms=BOTH[:1], frameworks=["mlx"], index="")
    names = {pin.name for pin in collected.asked[2][2]}
    assert ("mlx" in names, "torch" in names, "numpy" in names) == (True, False, True)


@pytest.mark.parametrize("sealed", [True, False])
def test_the_seal_says_whether_it_changed(collected: Collected, sealed: bool) -> None:
    collected.fetched = sealed
    assert collected("seal", platforms=BOTH) == {"changed": sealed}
    ((kind, folder, profile, platforms),) = collected.asked
    assert (kind, folder, profile.name, platforms) == ("seal", Path("/b"), "ml-m1", BOTH)


def test_what_cannot_be_had_is_said(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vax" in collected("wheels", platforms=["vax"])["msg"]
    assert "none" in collected("seal", profile="none")["msg"]

    def refuse(*_: Any) -> None:
        raise UserError("no such bottle")

    monkeypatch.setattr(bottles, "collect", refuse)
    assert collected("bottles") == {"failed": True, "msg": "no such bottle"}
    assert "must be one of" in collected("all")["msg"]
    assert collected.asked == []


def test_there_is_nothing_to_say_of_it_in_check_mode() -> None:
    with pytest.raises(AnsibleActionSkip):
        run_action(bundle.ActionModule, {"part": "seal"}, check=True)
