"""What the action asks of the target, and what it has installed there."""

from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.action import locked_packages
from ansible_collections.metal_lab.macs.verify.profile.lock import UV_LOCK

from tests.helpers.pins import locked
from tests.helpers.plugins import connection, run_action

Calls = list[dict[str, Any]]
HERE = {"prefix": "/env"}
NOTHING = {"changed": False, "pending": [], "diff": []}


def run(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[dict[str, Any]],
    *,
    check: bool = False,
    over: Any = None,
    **given: Any,
) -> tuple[dict[str, Any], Calls]:
    """The action with a module that answers as told; returns the result, and with what the module was called."""
    calls: Calls = []

    def execute(_: object, name: str, arguments: dict[str, Any], *, task_vars: dict[str, Any]) -> dict[str, Any]:
        assert (name, task_vars) == ("metal_lab.macs.environment_packages", {"a": 1})
        calls.append(arguments)
        return answers[len(calls) - 1]

    monkeypatch.setattr(locked_packages.ActionModule, "_execute_module", execute)
    options = {"sets": ["mlx"], "profile": "ml-m1", "env": HERE, "platform": "darwin-arm64", **given}
    return run_action(locked_packages.ActionModule, options, check=check, variables={"a": 1}, over=over), calls


def test_with_nothing_missing_the_target_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result, calls = run(monkeypatch, [NOTHING], sets=["base", "tensorflow", "mlx"], content=True)
    assert result == NOTHING
    (asked,) = calls
    assert (asked["apply"], asked["content"], asked["prefix"]) == (False, True, "/env")
    assert asked["packages"].items() >= {name: locked(name) for name in ("numpy", "tensorflow-metal", "mlx")}.items()
    assert "torch" not in asked["packages"]
    assert asked["variables"] == {"base": {}, "tensorflow": {"KERAS_BACKEND": "tensorflow"}, "mlx": {}}
    assert asked.keys() & {"requirements", "uv_lock", "find_links"} == set()


def test_only_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"changed": True, "pending": ["mlx"], "diff": []}
    result, calls = run(monkeypatch, [missing, {"changed": True, "pending": ["mlx"], "diff": [{}]}])
    assert result == {"changed": True, "pending": ["mlx"], "diff": [{}]}
    asked, told = calls
    assert told == {**asked, **{key: told[key] for key in ("requirements", "uv_lock", "find_links")}, "apply": True}
    assert told["requirements"].startswith(f"mlx=={locked('mlx')}")
    assert "--hash=sha256:" in told["requirements"]
    assert "numpy" not in told["requirements"]
    assert (told["uv_lock"], told["find_links"]) == (UV_LOCK.read_text(encoding="utf-8"), "")
    _, calls = run(monkeypatch, [missing, NOTHING], platform="linux-x86_64")
    assert calls[1]["find_links"].startswith("https://")


def test_in_check_mode_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"changed": True, "pending": ["mlx"], "diff": []}
    result, calls = run(monkeypatch, [missing], check=True)
    assert (result, len(calls)) == (missing, 1)


def test_no_sets_are_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [], sets=[], env={}) == ({"changed": False}, [])


def test_a_target_whose_platform_is_not_known_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    _, calls = run(monkeypatch, [NOTHING], platform="", sets=["tensorflow"], over=connection((0, "Linux x86_64\n", "")))
    assert "tensorflow-cpu" in calls[0]["packages"]
    for answer in ((0, "Linux\n", ""), (0, "Linux on x86_64\n", ""), (1, "Linux x86_64\n", ""), (-1, "a b\n", "")):
        result, calls = run(monkeypatch, [], platform="", over=connection(answer))
        assert result["msg"].startswith("uname -sm did not answer with two words: ")
        assert calls == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"env": {}}, "No environment is named"),
        ({"profile": "none"}, "no profile 'none'"),
        ({"platform": "vax"}, "not made for vax"),
        ({"sets": ["base", "caffe"]}, "'caffe'"),
        ({"sets": ["pytorch"], "platform": "linux-aarch64"}, "pytorch"),
    ],
)
def test_what_the_profile_does_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], said: str
) -> None:
    result, calls = run(monkeypatch, [], **wrong)
    assert result["failed"]
    assert said in result["msg"]
    assert calls == []
