"""What `environment_packages` makes of damaged packages, with the real uv: mends them, and leaves the rest alone."""

import pytest

from tests.plugins.module_utils.distributions.damage import DAMAGES, Place, damage
from tests.plugins.module_utils.distributions.environment import Environment, alter, wheel

JOURNAL = "metal-lab-transaction.json"


def test_every_damage_is_mended_in_one_run_and_the_next_changes_nothing(environment: Environment) -> None:
    before = environment.tree()
    damage(environment.site, DAMAGES)
    done = environment.run(apply=True, content=True)
    assert done.get("changed"), done["msg"]
    assert done["pending"] == sorted(DAMAGES)
    again = environment.run(apply=True, content=True)
    assert (again["changed"], again["pending"], again["diff"]) == (False, [], [])
    after = environment.tree()
    assert sorted(after) == sorted(before)
    packages = [path for path in before if path.startswith("lib/") and path.endswith((".py", "/METADATA"))]
    assert len(packages) > 3 * len(DAMAGES) - 1
    assert {path: after[path] for path in packages} == {path: before[path] for path in packages}


def test_what_links_lead_to_stays_as_it_was(environment: Environment) -> None:
    out = ["file-out", "package-out", "info-out", "record-out", "path-absolute", "path-upwards"]
    damage(environment.site, out)
    places = [Place(environment.site, name.replace("-", "_")) for name in out]
    outside = places[0].outside.parent
    files = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    assert len(files) >= len(out)
    assert environment.run(apply=True)["pending"] == sorted(out)
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == files
    assert all(place.file.is_file() and not place.file.is_symlink() for place in places)
    assert environment.run(apply=False)["changed"] is False


def test_a_link_of_the_users_outside_of_site_packages_is_named_and_stays(environment: Environment) -> None:
    share, disk = environment.prefix / "share", environment.folder / "other-disk"
    share.rename(disk)
    share.symlink_to(disk)
    done = environment.run(apply=True, names=["content"])
    assert done["failed"]
    assert f"share/content/notes.txt is behind a link that leads out of the environment: {share}" in done["msg"]
    assert share.readlink() == disk
    assert (disk / "content" / "notes.txt").exists()


def test_files_of_the_users_in_a_package_stay(environment: Environment) -> None:
    damage(environment.site, ["record-empty", "record-random"])
    own = [environment.site / name / "deep" / "mine.py" for name in ("record_empty", "record_random")]
    for path in own:
        path.write_text("# mine\n", encoding="utf-8")
    assert environment.run(apply=True)["changed"]
    assert [path.read_text(encoding="utf-8") for path in own] == ["# mine\n"] * 2


def test_of_two_whole_versions_the_locked_one_stays(bare: Environment) -> None:
    bare.install()
    first = bare.tree()
    (bare.site / "tiny-1.0.dist-info").rename(bare.folder / "aside")
    bare.install(wheel(bare.folder / "wheels", "tiny", "2.0", {"tiny/__init__.py": "NUMBER = 2\n"}))
    (bare.folder / "aside").rename(bare.site / "tiny-1.0.dist-info")
    assert bare.run(apply=False)["diff"][0]["before"].count("tiny==") == 2
    assert bare.run(apply=True)["changed"]
    assert bare.run(apply=True, content=True)["changed"] is False
    assert sorted(bare.tree()) == sorted(first)


def test_another_version_whose_record_is_lost_is_replaced(bare: Environment) -> None:
    bare.install(wheel(bare.folder / "wheels", "tiny", "0.9", {"tiny/old.py": "", "tiny/__init__.py": "NUMBER = 0\n"}))
    (bare.site / "tiny-0.9.dist-info" / "RECORD").write_bytes(b"\xff" * 99)
    assert bare.run(apply=True)["changed"]
    assert bare.run(apply=True, content=True)["changed"] is False
    assert (bare.site / "tiny" / "__init__.py").read_text(encoding="utf-8") == "NUMBER = 1\n"
    # Nothing says any longer that this was a part of it.
    assert (bare.site / "tiny" / "old.py").exists()


@pytest.mark.parametrize("link_mode", ["hardlink", "copy"])
def test_a_byte_changed_in_the_environment_is_found_where_asked_for_and_mended(
    bare: Environment, link_mode: str
) -> None:
    bare.link_mode = link_mode
    bare.install()
    file = bare.site / "tiny" / "__init__.py"
    alter(file)
    (cached,) = bare.cached("tiny/__init__.py")
    # A linked file is the cache's own: laying it down from there again brings the damage back.
    assert (cached.read_bytes() == file.read_bytes()) is (link_mode == "hardlink")
    assert bare.run(apply=False)["changed"] is False
    asked = bare.run(apply=False, content=True)
    assert "tiny==1.0  # tiny/__init__.py has other content than its sha256" in asked["diff"][0]["before"]
    assert bare.run(apply=True, content=True)["changed"]
    assert file.read_text(encoding="utf-8") == "NUMBER = 1\n"
    assert [path.read_text(encoding="utf-8") for path in bare.cached("tiny/__init__.py")] == ["NUMBER = 1\n"]
    assert bare.run(apply=True, content=True)["changed"] is False


@pytest.mark.parametrize("link_mode", ["hardlink", "copy"])
def test_a_file_altered_in_uvs_cache_does_not_reach_an_environment(bare: Environment, link_mode: str) -> None:
    bare.link_mode = link_mode
    bare.install()
    bare.uv("pip", "uninstall", "--python", str(bare.prefix / "bin" / "python"), "tiny")
    (cached,) = bare.cached("tiny/deep/words.py")
    alter(cached)
    assert bare.run(apply=True)["changed"]
    file = bare.site / "tiny" / "deep" / "words.py"
    assert file.read_text(encoding="utf-8") == "WORDS = 'a b'\n"
    assert [path.read_text(encoding="utf-8") for path in bare.cached("tiny/deep/words.py")] == ["WORDS = 'a b'\n"]
    assert bare.run(apply=True, content=True)["changed"] is False


def test_what_is_whole_in_the_cache_is_not_fetched_again(bare: Environment) -> None:
    bare.install()
    (kept,) = bare.cached("tiny/__init__.py")
    number = kept.stat().st_ino
    (bare.site / "tiny" / "__init__.py").unlink()
    assert bare.run(apply=True)["pending"] == ["tiny"]
    assert (bare.site / "tiny" / "__init__.py").exists()
    assert [path.stat().st_ino for path in bare.cached("tiny/__init__.py")] == [number]


def test_the_cache_of_other_packages_stays(bare: Environment) -> None:
    bare.lock("beside")
    bare.install()
    (kept,) = bare.cached("beside/__init__.py")
    number = kept.stat().st_ino
    alter(bare.cached("tiny/__init__.py")[0])
    (bare.site / "tiny" / "__init__.py").unlink()
    assert bare.run(apply=True)["pending"] == ["tiny"]
    assert [path.stat().st_ino for path in bare.cached("beside/__init__.py")] == [number]


def test_a_file_that_stays_altered_is_an_error_with_its_name_and_is_not_forgotten(bare: Environment) -> None:
    # A wheel that does not hold what it records is as a disk that alters a file each time that it is written.
    bare.lock("tiny", misrecorded="tiny/__init__.py")
    done = bare.run(apply=True)
    assert done["failed"]
    assert "tiny==1.0  # tiny/__init__.py has other content than its sha256 in RECORD" in done["msg"]
    assert "look at its disk" in done["msg"]
    assert (bare.prefix / JOURNAL).exists()
    assert bare.run(apply=False)["pending"] == ["tiny"]


def test_an_environment_is_not_made_of_links_into_the_cache(bare: Environment) -> None:
    bare.link_mode = "symlink"
    assert bare.run(apply=True)["changed"]
    assert not any(path.is_symlink() for path in (bare.site / "tiny").rglob("*"))
    assert bare.run(apply=False)["changed"] is False
