"""Macs that answer within this process: what one says goes through verify as from a real one, without any."""

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult

from tests.verify import told
from verify.profile.model import Profile
from verify.target import remote
from verify.target.remote import COREML, ENVIRONMENT, FRAMEWORK, LOOK, SYSTEM

PLATFORM = "darwin-arm64"
PREFIX = "/Users/me/env"


@dataclass
class Mac:
    """A Mac with an environment, Homebrew and conda, on which all is well.

    Attributes:
        profile: what it is.
        record: what converging left there.
        brought: what system.sh says of it.
        stages: by probe and stage, what it finds; FRAMEWORK stands for each framework.
    """

    profile: Profile
    record: dict[str, Any] = field(default_factory=dict)
    brought: dict[str, str] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        brew, conda = "/opt/homebrew", "/Users/me/miniforge3"
        self.record = {
            **{"schema": 1, "profile": self.profile.name, "provider": "conda", "prefix": PREFIX},
            **{"frameworks": self.profile.frameworks_on(PLATFORM), "shell": "/Users/me/.zshrc"},
            "homebrew": {"prefix": brew, "formulae": ["htop"], "casks": ["editor"], "shellenv": True},
            "conda": {"root": conda, "init": True},
        }
        self.brought = {
            **{"homebrew": "0 Homebrew 6.0.18", "formula:htop": "present", "cask:editor": "present"},
            "conda": "0 conda 26.3.2",
        }
        versions = {pin.name: pin.version for pin in self.profile.lock(PLATFORM).pins.values()}
        variables = {key: one for each in self.profile.frameworks.values() for key, one in each.environment.items()}
        version = f"{self.profile.python}.9"
        self.stages = {
            ENVIRONMENT: {
                "python": {
                    **{"version": version, "machine": "arm64", "translated": False},
                    **{"prefix": PREFIX, "wanted_prefix": PREFIX},
                },
                "machine": told.MACHINE,
                "packages": {
                    "installed": {**{name: [one] for name, one in versions.items()}, "coremltools": ["9.0"]},
                    "files": dict.fromkeys([*versions, "coremltools"], 3),
                    "content": True,
                    "releases": {"numpy": ["14.0"], "mlx": ["15.0"], "mlx-metal": ["15.0"]},
                    "problems": {},
                },
                "variables": {"stored": {"": variables}},
                "shell": {
                    **{"shell": "/bin/zsh", "error": "", "python": f"{PREFIX}/bin/python", "brew": f"{brew}/bin/brew"},
                    **{
                        "homebrew": brew,
                        "prefix": PREFIX,
                        "active": PREFIX,
                        "wanted": PREFIX,
                        "conda": True,
                        "initialised": True,
                    },
                },
                "state": {"said": told.SAID, "files": {}, "load": 1.5, "now": 1763603600.0},
            },
            FRAMEWORK: {
                **told.GOOD,
                "generate": told.GENERATED,
                # As few as there may be: every one is looked at.
                "matmul": {**told.GOOD["matmul"], "products": [{**told.PRODUCT, "samples": told.SAMPLES[:5]}]},
                "bandwidth": {**told.GOOD["bandwidth"], "samples": told.SAMPLES[:5]},
                "sustained": {
                    **{"n": 1000, "dtype": "float32", "seed": 1, "window_s": 2.0},
                    "windows": [{"products": 100, "seconds": 2.0}] * 4,
                    "registry": [told.SAID["registry"]] * 2,
                },
            },
            COREML: {
                "plan": {
                    "version": "9.0",
                    "operations": [
                        {
                            **{"name": "ios16.conv", "preferred": "MLGPUComputeDevice"},
                            "supported": ["MLCPUComputeDevice", "MLGPUComputeDevice"],
                        }
                    ],
                }
            },
        }

    def found(self, probe: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What a probe finds in its stages; of a framework, in those that were asked for."""
        if probe in (ENVIRONMENT, COREML):
            return self.stages[probe]
        found = {name: self.stages[FRAMEWORK][name] for name in asked["stages"]}
        framework = self.profile.frameworks[probe]
        pins = self.profile.lock(PLATFORM).direct(framework.requirements)
        (version,) = {pin.version for pin in pins if pin.name in framework.distributions}
        device = framework.device[PLATFORM]
        found["import"] = {"version": version}
        found["device"] = {**found["device"], "present": ["cpu", device], "default": device}
        return found


@dataclass
class Question:
    """A question that verify asks a machine.

    Attributes:
        probe: LOOK, SYSTEM, ENVIRONMENT, COREML, or a framework.
        nonce: marks its answer.
        asked: the probe's parameters.
    """

    probe: str
    nonce: str
    asked: dict[str, Any]


def question(arguments: tuple[str, ...]) -> Question:
    """The question in a command's arguments."""
    if arguments[0] == remote._LOOK:
        return Question(LOOK, arguments[1], {})
    if arguments[0] == remote._SUPERVISE:
        order = json.loads(zlib.decompress(base64.b64decode(arguments[3])))
        return Question(order["entry"].rpartition(".")[2], order["nonce"], order["parameters"])
    return Question(SYSTEM, arguments[1], {})


@dataclass
class Answer:
    """What a command writes, and its exit code."""

    output: bytes
    errors: bytes = b""
    code: int = 0


def look(mac: Mac, nonce: str, record: str) -> str:
    """The answer to the first look, with a record's text."""
    return f"\n{nonce}\nDarwin\narm64\n/Users/me/.local/share/metal-lab/{mac.profile.name}.json\n{record}\n{nonce}\n"


def brought(pairs: dict[str, str], nonce: str) -> str:
    """The answer of system.sh."""
    return "\n".join(["", nonce, *(f"{key}={value}" for key, value in pairs.items()), "", nonce, ""])


def outcome(found: dict[str, Any]) -> dict[str, Any]:
    """What the supervisor says of a probe that found this in its stages."""
    records = [json.dumps(one) for one in told.records(found)]
    return {"records": records, "ended": "exit", "status": 0, "signal": "", "evidence": "", "seconds": 9.0}


def honest(mac: Mac, asked: Question) -> Answer:
    """What a Mac answers that says what is."""
    if asked.probe == LOOK:
        text = look(mac, asked.nonce, json.dumps(mac.record))
    elif asked.probe == SYSTEM:
        text = brought(mac.brought, asked.nonce)
    else:
        text = f"\n{asked.nonce} {json.dumps(outcome(mac.found(asked.probe, asked.asked)))}\n"
    return Answer(text.encode())


Answering = Callable[[Question], Answer]
_ANSWERING: dict[str, Answering] = {}


class _Backend(BaseBackend):  # type: ignore[misc]
    NAME = "told"

    def __init__(self, name: str, **options: Any) -> None:
        self._name = name
        super().__init__(name, **options)

    def get_hostname(self) -> str:
        return self._name

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        answer = _ANSWERING[self._name](question(args))
        return CommandResult(self, answer.code, command.encode(), answer.output, answer.errors)


def connect(monkeypatch: pytest.MonkeyPatch, macs: dict[str, Answering]) -> str:
    """Let testinfra reach these Macs by their names; returns what --hosts takes for all of them."""
    monkeypatch.setitem(testinfra.backend.BACKENDS, _Backend.NAME, f"{__name__}._Backend")
    for name, answering in macs.items():
        monkeypatch.setitem(_ANSWERING, name, answering)
    return ",".join(f"{_Backend.NAME}://{name}" for name in macs)
