"""A lock file is read strictly, and one that was edited or is out of date is refused."""

from pathlib import Path

import pytest

from verify.errors import UserError
from verify.profile import model as profiles
from verify.profile import yaml_lines
from verify.profile.lock import Lock, render

HASH = "0" * 64
BODY = f"""\
alpha==1.0 \\
    --hash=sha256:{HASH}
    # via
    #   -r base.in
    #   gamma
beta-lib==2.0+cpu \\
    --hash=sha256:{"1" * 64} \\
    --hash=sha256:{"2" * 64}
    # via Alpha
gamma==3 \\
    --hash=sha256:{"3" * 64}
    # via -r mlx.in
"""


def store(folder: Path, body: str = BODY, inputs: bytes = b"inputs") -> Path:
    path = folder / "test.lock"
    path.write_text(render(body, inputs=inputs), encoding="utf-8")
    return path


def test_a_closure_holds_what_a_requirements_file_needs_through_others(tmp_path: Path) -> None:
    lock = Lock.read(store(tmp_path), inputs=b"inputs")
    assert [pin.name for pin in lock.closure("base.in")] == ["alpha", "beta-lib"]
    assert [pin.name for pin in lock.closure("mlx.in")] == ["alpha", "beta-lib", "gamma"]
    assert [pin.name for pin in lock.direct("mlx.in")] == ["gamma"]
    assert lock.pins["beta-lib"].hashes == ("1" * 64, "2" * 64)


def test_a_pin_becomes_a_requirement_with_all_its_hashes(tmp_path: Path) -> None:
    pin = Lock.read(store(tmp_path), inputs=b"inputs").pins["beta-lib"]
    first, second = pin.hashes
    assert pin.requirement() == f"beta-lib==2.0+cpu \\\n    --hash=sha256:{first} \\\n    --hash=sha256:{second}\n"


def test_an_altered_hash_is_refused(tmp_path: Path) -> None:
    path = store(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("1" * 64, "f" * 64), encoding="utf-8")
    with pytest.raises(UserError, match=r"test\.lock was changed by something other than the lock command"):
        Lock.read(path, inputs=b"inputs")


def test_changed_inputs_make_a_lock_out_of_date(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"test\.lock is out of date.*python -m verify lock"):
        Lock.read(store(tmp_path), inputs=b"other inputs")


def test_a_missing_lock_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing: run"):
        Lock.read(tmp_path / "none.lock", inputs=b"")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--index-url https://example.invalid/simple\n", "not a line that the lock command writes"),
        ("delta @ https://example.invalid/delta.whl\n", "not a line that the lock command writes"),
        ("delta==1\n", "delta has no hash"),
        (f"delta==1 \\\n    --hash=md5:{HASH}\n", "not a line that the lock command writes"),
    ],
)
def test_a_line_of_another_form_is_refused_with_its_number(tmp_path: Path, line: str, said: str) -> None:
    path = store(tmp_path, BODY + line)
    with pytest.raises(UserError, match=said) as caught:
        Lock.read(path, inputs=b"inputs")
    number = int(str(caught.value).split("test.lock:", 1)[1].split(":", 1)[0])
    assert "delta" in path.read_text().splitlines()[number - 1] or "--" in path.read_text().splitlines()[number - 1]


def test_every_package_of_the_real_locks_belongs_to_a_set() -> None:
    loaded = profiles.load("ml-m1")
    for platform in loaded.platforms:
        lock = loaded.lock(platform)
        sets = [loaded.base, *loaded.frameworks.values()]
        assert {pin.name for one in sets for pin in lock.closure(one.requirements)} == set(lock.pins)


def test_editing_a_requirements_file_makes_every_lock_out_of_date(tmp_path: Path) -> None:
    loaded = profiles.load("ml-m1")
    before = {name: loaded.lock_inputs(name) for name in loaded.platforms}
    for path in loaded.directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "mlx.in").open("a", encoding="utf-8") as file:
        file.write("mlx-lm\n")
    moved = profiles._build(tmp_path, yaml_lines.load(tmp_path / "profile.yml").data)
    assert all(moved.lock_inputs(name) != before[name] for name in moved.platforms)
