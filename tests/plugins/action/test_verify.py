"""The action verify: the command it runs over a host, what is shown, and what its exit code comes to."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader
from ansible.template import trust_as_template
from ansible_collections.metal_lab.macs.plugins.action import verify

from tests.helpers.plugins import action, run_action, typed
from tests.verify.report.samples import measured

# Stands in for `python -m verify`: notes what it is asked and given, leaves a result if told to, ends as it is told.
COMMAND = """
import json, sys, urllib.parse
from pathlib import Path
where = sys.argv[sys.argv.index("--hosts") + 1]
inventory = Path(urllib.parse.unquote(where.partition("ansible_inventory=")[2]))
left = [str(one) for one in sorted(Path("results").rglob("*.*"))]
asked = {"line": sys.argv[1:], "inventory": json.loads(inventory.read_text()), "typed": sys.stdin.read(), "left": left}
Path("asked.json").write_text(json.dumps(asked))
print("a line", flush=True)
print("  another", file=sys.stderr, flush=True)
if Path("result.json").exists():
    Path("result.json").rename("results/lab-07.ml-m1.json")
sys.exit(int(Path("code").read_text()))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose verify is the stand-in, with what an earlier run left."""
    root = tmp_path / "a project"
    for made in (root / "verify", root / "results" / "junit", tmp_path / "t m p"):
        made.mkdir(parents=True)
    (root / "verify" / "__init__.py").touch()
    (root / "verify" / "__main__.py").write_text(COMMAND, encoding="utf-8")
    (root / "code").write_text("0")
    for name in (
        "lab-07.ml-m1.json",
        "lab-07.other.json",
        "lab-08.ml-m1.json",
        "junit/lab-07.ml-m1.xml",
        "junit/lab-07.other.xml",
    ):
        (root / "results" / name).touch()
    monkeypatch.setattr(verify, "ROOT", root)
    monkeypatch.setattr(verify, "RESULTS", root / "results")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t m p"))
    return root


OPTIONS = {"profile": "ml-m1", "level": "quick", "lang": ""}


def run(
    variables: dict[str, Any] | None = None, *, check: bool = False, over: Any = None, **options: str
) -> dict[str, Any]:
    known = {"inventory_hostname": "lab-07", **(variables or {})}
    return run_action(verify.ActionModule, {**OPTIONS, **options}, check=check, variables=known, over=over)


def asked(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "asked.json").read_text(encoding="utf-8"))
    return found


def test_a_healthy_host_is_called_so_and_its_lines_are_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "result.json").write_text(json.dumps(measured(host="lab-07")), encoding="utf-8")
    with typed("yes"):
        result = run()
    assert result == {"changed": False, "verdict": "healthy", "profile": "ml-m1", "lang": ""}
    assert capsys.readouterr().out == "a line\n  another\n"
    found = asked(project)
    *line, where, junit, place = found["line"]
    assert line == ["--profile", "ml-m1", "--level", "quick", "--no-page", "--results", f"{project}/results", "--hosts"]
    assert where.startswith("ansible://lab-07?ansible_inventory=/")
    assert " " not in where
    assert (junit, place) == ("--junit-xml", f"{project}/results/junit/lab-07.ml-m1.xml")
    known = {"_meta": {"hostvars": {"lab-07": {}}}, "all": {"hosts": ["lab-07"]}}
    assert (found["inventory"], found["typed"]) == (known, "")
    # What an earlier run left of this host and profile must not stand for this one.
    assert found["left"] == ["results/junit/lab-07.other.xml", "results/lab-07.other.json", "results/lab-08.ml-m1.json"]
    assert list((project.parent / "t m p").iterdir()) == []
    (project / "results" / "lab-07.ml-m1.json").unlink(missing_ok=True)
    assert run(lang="pt")["lang"] == "pt"
    assert asked(project)["line"][7:9] == ["--lang", "pt"]


def test_in_check_mode_nothing_is_verified(project: Path) -> None:
    result = run(check=True)
    assert (result["skipped"], "verdict" in result) == (True, False)
    assert "nothing to verify" in result["skipped_reason"]
    assert not (project / "asked.json").exists()
    assert (project / "results" / "lab-07.ml-m1.json").exists()


def test_verify_reaches_the_host_as_the_play_does(project: Path) -> None:
    given = {
        **{"ansible_connection": "ssh", "ansible_host": trust_as_template("{{ address }}"), "ansible_port": 22},
        **{"ansible_user": "ana", "ansible_ssh_private_key_file": "/k", "ansible_private_key_file": "/k2"},
    }
    known = {**given, "address": "192.0.2.7", "ansible_become_password": "secret", "ansible_ssh_pass": "secret"}
    over = connection_loader.get("ssh", PlayContext())
    over.set_options(var_options={"ansible_ssh_common_args": "-J gate", "ansible_ssh_extra_args": "-v"})
    run(known, over=over)
    # The first of them is the project's: ansible.cfg has it.
    settings = "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=10 -o ServerAliveCountMax=3"
    wanted = {**given, "ansible_host": "192.0.2.7", "ansible_ssh_common_args": f"{settings} -J gate -v"}
    assert asked(project)["inventory"]["_meta"]["hostvars"]["lab-07"] == wanted


def test_who_the_play_names_counts_where_the_inventory_says_nothing(project: Path) -> None:
    for variables, user in (({}, "eva"), ({"ansible_user": "ana"}, "ana")):
        known = {"inventory_hostname": "lab-07", **variables}
        plugin = action(verify.ActionModule, OPTIONS, variables=known)
        plugin._play_context.remote_user, plugin._play_context.port = "eva", 2222
        plugin.run(None, known)
        found = asked(project)["inventory"]["_meta"]["hostvars"]
        assert found == {"lab-07": {"ansible_user": user, "ansible_port": 2222}}


def test_a_choice_that_there_is_not_is_refused(project: Path) -> None:
    for refused in (run(level="slow"), run(lang="fr")):
        assert "must be one of" in refused["msg"]
    assert not (project / "asked.json").exists()


def test_it_is_this_python_that_runs_it(project: Path) -> None:
    (project / "verify" / "__main__.py").write_text(
        "import sys; sys.exit(0 if sys.executable == " + repr(sys.executable) + " else 3)"
    )
    assert run()["rc"] == 0
