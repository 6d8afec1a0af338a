"""The other ways: the Command Line Tools from a file, brew as another user, Miniforge by Homebrew, a second profile."""

import shutil
import subprocess
from pathlib import Path

from macs import FRESH, PROFILE, ROOT, command, converge, environment, server_of, verify
from test_mac_3_refused import altered, away

ONE = ["--limit", "fresh"]
SMALL = {"frameworks": ["mlx"]}


def test_the_command_line_tools_come_from_a_package_on_the_mac() -> None:
    change, restore = away("/Library/Developer/CommandLineTools")
    with altered(f"{change}; printf 'Command Line Tools' >/opt/.sim/tools.pkg", f"{restore}; rm /opt/.sim/tools.pkg"):
        FRESH.calls()
        run = converge(*ONE, command_line_tools_package="/opt/.sim/tools.pkg", **SMALL)
        assert run.code == 0, run.output
        tools = [call for call in FRESH.calls() if call.startswith(("softwareupdate", "installer"))]
        assert tools == ["installer -pkg /opt/.sim/tools.pkg -target /"]
        assert FRESH.run("git --version").startswith("git version")
        assert converge(*ONE, command_line_tools_package="/opt/.sim/tools.pkg", **SMALL).recap("fresh")["changed"] == 0


def test_a_package_that_is_not_there_is_explained() -> None:
    change, restore = away("/Library/Developer/CommandLineTools")
    with altered(change, restore):
        run = converge(*ONE, command_line_tools_package="/opt/.sim/none.pkg", command_line_tools_attempts=1)
        assert "the package path specified was invalid: '/opt/.sim/none.pkg'" in " ".join(run.output.split())


def test_brew_runs_as_the_user_who_owns_homebrew() -> None:
    # From outside: on a real Mac, System Settings makes a user.
    etc = Path(f"/proc/{server_of('fresh')}/root/etc")
    users, groups = ((etc / name).read_text(encoding="utf-8") for name in ("passwd", "group"))
    (etc / "passwd").write_text(users + "eva:x:502:20:Eva:/Users/eva:/bin/zsh\n", encoding="utf-8")
    (etc / "group").write_text(groups.replace("admin:x:80:root,ana", "admin:x:80:root,ana,eva"), encoding="utf-8")
    made = "mkdir /Users/eva; chown eva:staff /Users/eva; chown -R eva:admin /opt/homebrew"
    try:
        with altered(f"{made}; rm -r /opt/homebrew/Cellar/htop", "chown -R ana:admin /opt/homebrew; rm -r /Users/eva"):
            refused = converge(*ONE, **SMALL)
            assert "Set homebrew_user to eva" in " ".join(refused.output.split())
            run = converge(*ONE, homebrew_user="eva", **SMALL)
            assert run.code == 0, run.output
            assert FRESH.run("stat -c %U /opt/homebrew/Cellar/htop") == "eva\n"
            assert FRESH.run("find /opt/homebrew ! -user eva") == ""
            assert converge(*ONE, homebrew_user="eva", **SMALL).recap("fresh")["changed"] == 0
            # The user's own new shell finds it all the same.
            assert "/opt/homebrew/bin/brew" in FRESH.login("whence -p brew")
    finally:
        (etc / "passwd").write_text(users, encoding="utf-8")
        (etc / "group").write_text(groups, encoding="utf-8")


def test_miniforge_comes_from_homebrew_where_the_courses_way_is_asked_for() -> None:
    record = FRESH.run("cat ~/.local/share/metal-lab/ml-m1.json")
    change, restore = away("/Users/ana/miniforge3")
    with altered(change, f"{restore}; rm -rf /opt/homebrew/Caskroom/miniforge"):
        # As if nothing of ours had been there: an environment elsewhere is not left behind unasked.
        FRESH.run("cp -p ~/.zshrc ~/.zshrc.kept; rm ~/.local/share/metal-lab/ml-m1.json")
        try:
            run = converge(*ONE, miniforge_install_method="cask", **SMALL)
            assert run.code == 0, run.output
            root = "/opt/homebrew/Caskroom/miniforge/base"
            assert FRESH.login("print $CONDA_PREFIX") == [f"{root}/envs/ml-m1"]
            again = converge(*ONE, miniforge_install_method="cask", **SMALL)
            assert again.recap("fresh")["changed"] == 0, again.output
        finally:
            FRESH.run("mv ~/.zshrc.kept ~/.zshrc")
            FRESH.run(f"cat >~/.local/share/metal-lab/ml-m1.json <<'RECORD'\n{record}RECORD\n")


def test_two_profiles_live_side_by_side(tmp_path: Path) -> None:
    assert converge(*ONE, **SMALL).code == 0
    first, second = FRESH.prefix, f"{FRESH.conda}/envs/second"
    shell_file = FRESH.run("cat ~/.zshrc")
    profile = tmp_path / "second"
    shutil.copytree(ROOT / "profiles" / PROFILE, profile)
    about = (profile / "profile.yml").read_text(encoding="utf-8").replace(f"name: {PROFILE}", "name: second", 1)
    (profile / "profile.yml").write_text(about, encoding="utf-8")
    other = {"profile": str(profile), **SMALL}
    try:
        # New terminals go where the last run put them, and stay where that is asked for.
        for settings, changed, place in (
            ({**other, "shell_profile_move": False}, None, first),
            (other, 1, second),
            (other, 0, second),
            ({**SMALL, "shell_profile_move": False}, 0, second),
        ):
            run = converge(*ONE, **settings)
            assert run.code == 0, run.output
            assert changed in (None, run.recap("fresh")["changed"]), run.output
            assert FRESH.login("print $CONDA_PREFIX; whence -p python") == [place, f"{place}/bin/python"]
        for name, said in ((str(profile), f"is in {second}"), (PROFILE, "new terminals open in second")):
            health = verify(FRESH, tmp_path / "results", name)
            assert (health.code, health.failed) == (0, {})
            assert said in health.checks["shell.login"][2]
        assert sorted(one.name for one in (tmp_path / "results").glob("*.json")) == [
            f"fresh.{PROFILE}.json",
            "fresh.second.json",
        ]
        back = converge(*ONE, **SMALL)
        assert back.recap("fresh")["changed"] == 1, back.output
        assert "New terminals move from second to ml-m1" in " ".join(back.output.split())
        assert converge(*ONE, **SMALL).recap("fresh")["changed"] == 0
    finally:
        line = command(*ONE, profile=str(profile))
        line[line.index(str(ROOT / "site.yml"))] = str(ROOT / "playbooks" / "uninstall.yml")
        subprocess.run(line, env=environment(), check=True, cwd=ROOT)
    assert FRESH.run(f"ls {FRESH.conda}/envs; ls ~/.local/share/metal-lab/*.json; cat ~/.zshrc") == (
        f"{PROFILE}\n/Users/ana/.local/share/metal-lab/{PROFILE}.json\n{shell_file}"
    )
    assert FRESH.login("print $CONDA_PREFIX") == [first]
