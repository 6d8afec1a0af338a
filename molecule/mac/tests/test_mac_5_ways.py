"""The other ways: the Command Line Tools from a file, brew as another user, Miniforge by Homebrew."""

from pathlib import Path

from macs import FRESH, converge, server_of
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
