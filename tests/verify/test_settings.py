"""What a run is asked, from its options: each at its limits, and what cannot be is said before anything runs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import testinfra
from testinfra.utils import ansible_runner

from verify.errors import UserError
from verify.results.files import FOLDER
from verify.run import options, run, settings


@pytest.fixture
def resolve(tmp_path: Path) -> Any:
    def resolved(**changes: Any) -> settings.Settings:
        given = {
            **{"level": "quick", "profile": "ml-m1", "frameworks": None, "timeout": None, "soak_seconds": None},
            **{"hosts": "local://", "ansible_inventory": None, "results": str(tmp_path), "lang": "en"},
            **{"environment": None, "ssh_config": None},
        }
        return settings.resolve(SimpleNamespace(**{**given, **changes}))

    return resolved


def refused(resolve: Any, **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        resolve(**changes)
    return str(caught.value)


def test_without_options(resolve: Any, tmp_path: Path) -> None:
    found = resolve()
    plan = found.plan
    assert (plan.profile.name, plan.level, plan.frameworks, plan.timeout_s) == ("ml-m1", "quick", None, None)
    assert plan.soak_s == 120
    assert [host.backend.get_pytest_id() for host in found.hosts] == ["local"]
    assert found.results == tmp_path.resolve()


@pytest.mark.parametrize(("option", "name", "least"), [("timeout", "timeout_s", 1.0), ("soak_seconds", "soak_s", 5.0)])
def test_seconds_at_their_limits(resolve: Any, option: str, name: str, least: float) -> None:
    for given in (least, 86400.0):
        assert getattr(resolve(**{option: str(given)}).plan, name) == given
    for wrong in (str(least - 0.001), "86400.001", "soon", "nan", "-5"):
        said = refused(resolve, **{option: wrong})
        assert said == f"--{option.replace('_', '-')} {wrong}: needed are seconds, from {least:g} to 86400."


def test_frameworks_come_in_the_profiles_order(resolve: Any) -> None:
    assert resolve(frameworks=" mlx,,tensorflow ").plan.frameworks == ("tensorflow", "mlx")
    assert "names what is unknown: theano, caffe." in refused(resolve, frameworks="theano,mlx,caffe")
    for nothing in ("", " , "):
        assert "names none." in refused(resolve, frameworks=nothing)
    assert "'deep' is unknown. Set --level to one of setup, quick, full, soak." in refused(resolve, level="deep")


def test_hosts_are_those_that_are_named_each_once(resolve: Any) -> None:
    found = resolve(hosts="ssh://b,ssh://a,local://").hosts
    assert [host.backend.get_pytest_id() for host in found] == ["ssh://b", "ssh://a", "local"]
    assert "'a' does not say how to connect" in refused(resolve, hosts="local://,a")
    assert "names ssh://a more than once" in refused(resolve, hosts="ssh://b,ssh://me@a,ssh://a:22")
    assert "'ssh://' names no host" in refused(resolve, hosts="ssh://")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError(), "RuntimeError"),
        (RuntimeError("first\nlast\n"), "last"),
        (RuntimeError("é" * 400), "é" * 300),
    ],
)
def test_why_hosts_cannot_be_resolved_is_a_short_line(
    resolve: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(testinfra, "get_hosts", fails)
    assert refused(resolve) == f"--hosts: 'local://' cannot be resolved: {said}"


def test_an_environment_is_a_path(resolve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    for given, path in (("env", f"{tmp_path}/env"), ("/a/../b", "/b"), ("~/env", "/home/me/env")):
        plan = resolve(environment=given).plan
        assert (plan.environment, plan.profile.name) == (path, path)
        # Whatever any profile knows.
        assert plan.candidates == ("tensorflow", "pytorch", "jax", "mlx", "mlx_lm")
    # On a host this machine's folders say nothing; without a slash it would be taken for a profile's name.
    for given, path in (("env", "~/env"), ("/env", "/env"), ("~/env", "~/env")):
        assert resolve(environment=given, hosts="ssh://a,local://").plan.environment == path
    assert "leave out one" in refused(resolve, environment="env", profile="current")
    for nothing in ("", "a\nb"):
        assert "needed is the path of an environment's folder" in refused(resolve, environment=nothing)
    assert refused(resolve, environment="env", frameworks="theano").endswith(
        "Known are tensorflow, pytorch, jax, mlx, mlx_lm."
    )


def test_the_connections_configuration_is_handed_on(resolve: Any) -> None:
    (host,) = resolve(hosts="ssh://a", ssh_config="/my/config").hosts
    assert host.backend.ssh_config == "/my/config"


def test_the_inventory_is_handed_on_and_one_without_a_match_is_refused(
    resolve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def get_hosts(patterns: list[str], ansible_inventory: str | None = None, **_: Any) -> list[Any]:
        seen.append((patterns, ansible_inventory))
        return []

    monkeypatch.setattr(testinfra, "get_hosts", get_hosts)
    assert "'ansible://lab' matches no host" in refused(resolve, hosts="ansible://lab", ansible_inventory="lab.yml")
    assert seen == [(["ansible://lab"], "lab.yml")]


def test_what_ansible_has_listed_is_not_asked_of_it_again(
    resolve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = {"ansible_host": "192.0.2.7", "ansible_user": "ana", "ansible_port": 2222, "ansible_ssh_extra_args": "-v"}
    written, listed = tmp_path / "hosts.yml", tmp_path / "listed.json"
    written.write_text(json.dumps({"all": {"hosts": {"lab-07": known, "lab-08": {}}}}), encoding="utf-8")
    said = subprocess.run(["ansible-inventory", "--list", "-i", written], capture_output=True, check=True).stdout
    listed.write_bytes(said)
    (asked,) = resolve(hosts=f"ansible://lab-07?ansible_inventory={written}").hosts
    monkeypatch.setattr(ansible_runner, "get_ansible_inventory", None)
    (handed,) = resolve(hosts=f"ansible://lab-07?ansible_inventory={listed}").hosts
    assert handed.backend.get_pytest_id() == asked.backend.get_pytest_id() == "ansible://lab-07"
    one, other = (host.backend.ansible_runner.get_host("lab-07").backend for host in (asked, handed))
    assert (one.host.name, one.host.user, one.host.port) == ("192.0.2.7", "ana", "2222")
    assert vars(one) == vars(other)


@pytest.mark.parametrize("path", ["/usr/bin", "", None])
def test_our_ansible_is_found_before_any_other(resolve: Any, monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    if path is None:
        monkeypatch.delenv("PATH")
    else:
        monkeypatch.setenv("PATH", path)
    beside = str(Path(sys.executable).parent)
    for _ in range(2):
        resolve()
        assert os.environ["PATH"] == f"{beside}:{os.defpath if path is None else path}"


def test_the_folder_for_results_is_made_or_refused(resolve: Any, tmp_path: Path) -> None:
    made = tmp_path / "a" / "b"
    assert resolve(results=str(made)).results == made.resolve()
    assert made.is_dir()
    (tmp_path / "file").touch()
    assert "cannot be made: " in refused(resolve, results=str(tmp_path / "file"))
    assert "cannot be made: " in refused(resolve, results=str(tmp_path / "file" / "below"))
    assert refused(resolve, results="") == "--results '': needed is the path of a folder."


def test_what_would_be_waited_for_in_the_place_of_a_file_is_refused(resolve: Any, tmp_path: Path) -> None:
    place = tmp_path / "junit.xml"
    place.write_text("of an older run")
    resolve()
    place.unlink()
    os.mkfifo(place)
    assert refused(resolve) == f"{place} is no file. Needed: a file, or nothing, at that place. Move it away."


@pytest.mark.parametrize("lacking", [os.W_OK, os.X_OK])
def test_a_folder_that_cannot_be_written_to_is_refused(
    resolve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: int
) -> None:
    # Not by its rights, which root does not need.
    monkeypatch.setattr(os, "access", lambda _, asked: not asked & lacking)
    assert "cannot be written to" in refused(resolve, results=str(tmp_path))


def test_options_are_handed_on_as_they_were_given() -> None:
    given: dict[str, Any] = {
        one.name.removeprefix("--").replace("-", "_"): one.more.get("default") for one in options.OPTIONS
    }
    assert options.pass_on({**given, "no_page": False, "soak_seconds": "7", "ssh_config": "a b"}) == [
        *("--hosts=local://", "--profile=ml-m1", "--level=quick", f"--results={FOLDER}"),
        *("--soak-seconds=7", "--ssh-config=a b"),
    ]
    assert options.pass_on({**given, "no_page": True})[-1] == "--no-page"


def test_a_host_is_called_by_its_bare_name_where_that_is_its_own() -> None:
    hosts = testinfra.get_hosts(["local://", "ssh://a", "docker://a", "ssh://b"])
    assert {address: name for address, (_, name) in run._named(hosts).items()} == {
        **{"local": "localhost", "ssh://a": "ssh://a", "docker://a": "docker://a", "ssh://b": "b"}
    }
