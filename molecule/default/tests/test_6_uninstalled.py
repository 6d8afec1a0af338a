"""Uninstall gives back the home as it was, and a check run leaves it as it is."""

from pathlib import Path

from tests.helpers.lab import Lab


def test_check_mode_on_a_fresh_home_leaves_no_file(fresh: Lab) -> None:
    run = fresh.converge("--check", "--diff")
    assert run.code == 0, run.output
    # The environment, the packages, the shell.
    assert run.changed == 3
    assert fresh.files() == {}


def test_uninstall_takes_what_was_put_there_and_nothing_else(fresh: Lab) -> None:
    notes = fresh.home / "notes.txt"
    notes.write_text("mine", encoding="utf-8")
    before = fresh.files()
    assert fresh.converge("--skip-tags", "verify", "-e", '{"frameworks": ["mlx"]}').code == 0
    assert fresh.python.exists()
    assert (fresh.home / ".bashrc").exists()

    previewed = fresh.play("uninstall.yml", "--check", "--diff")
    assert previewed.code == 0, previewed.output
    assert fresh.python.exists()

    done = fresh.play("uninstall.yml")
    assert done.code == 0, done.output
    assert fresh.files() == before
    again = fresh.play("uninstall.yml")
    assert again.changed == 0
    assert "1 machine: 1 unchanged" in again.words


def test_uninstall_waits_for_no_other_run_but_refuses(fresh: Lab) -> None:
    lock = fresh.home / ".local" / "share" / "metal-lab" / "run.lock"
    lock.parent.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    lock.write_text(f"id=elsewhere/1/7\nwho=eva\nsince=noon\nboot={boot}\n", encoding="utf-8")
    before = fresh.files()
    refused = fresh.play("uninstall.yml")
    assert refused.code != 0
    assert "Another run is at work on this machine: that of eva, since noon" in refused.words
    assert fresh.files() == before


def test_frameworks_can_be_left_out_and_added_later(fresh: Lab) -> None:
    site = fresh.prefix / "lib" / "python3.11" / "site-packages"
    assert fresh.converge("--skip-tags", "verify", "-e", '{"frameworks": ["mlx"]}').code == 0
    assert (site / "mlx").exists()
    assert not (site / "jax").exists()
    added = fresh.converge("--skip-tags", "verify", "-e", '{"frameworks": ["mlx", "jax"]}')
    # The record and JAX; MLX stays as it is.
    assert added.changed == 2
    assert (site / "jax").exists()
