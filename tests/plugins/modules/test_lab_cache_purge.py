"""What of a cache is thrown away: what is named, in whichever way it is written, and nothing else."""

from pathlib import Path

import pytest
from ansible_collections.metal_lab.macs.plugins.modules import lab_cache_purge
from ansible_collections.metal_lab.macs.plugins.modules.lab_cache_purge import find, key

from tests.helpers.plugins import run_module

ADDRESSES = [
    "/index/files/1/aa/mlx-0.32.4-cp311-cp311-macosx_14_0_arm64.whl",
    "/index/files/1/aa/mlx_metal-0.32.4-py3-none-macosx_14_0_arm64.whl",
    "/index/simple/mlx/",
    "/miniforge/26.3.2-3/Miniforge3-26.3.2-3-MacOSX-arm64.sh",
]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for number, address in enumerate(ADDRESSES):
        folder = tmp_path / str(number) / "ab"
        folder.mkdir(parents=True)
        head = b"\x05\0\0\0" + b"\0" * 300 + b"\nKEY: " + address.encode() + b"\nHTTP/1.1 200 OK\r\n\r\n"
        (folder / f"{number:032x}").write_bytes(head + b"\nKEY: /mlx-0.32.4 in the content\n" * 500)
    (tmp_path / "0" / "ab" / "being-written.0000000001").write_bytes(b"half")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("mlx-0.32.4", ADDRESSES[:1]),
        ("mlx-metal-0.32.4", ADDRESSES[1:2]),
        ("MLX_metal", ADDRESSES[1:2]),
        ("Miniforge3-26.3.2-3-MacOSX-arm64.sh", ADDRESSES[3:]),
        ("simple/mlx/", ADDRESSES[2:3]),
        ("numpy", []),
    ],
)
def test_what_is_named_is_found(store: Path, wanted: str, found: list[str]) -> None:
    assert sorted(find(store, wanted).values()) == sorted(found)


def test_a_file_of_something_else_has_no_address() -> None:
    assert key(b"half") == ""


def test_the_key_is_looked_for_in_the_head_alone(store: Path) -> None:
    place = store / "0" / "ab" / "late"
    for before, found in ((4096 - len("\nKEY: /late\n"), ["/late"]), (4097 - len("\nKEY: /late\n"), [])):
        place.write_bytes(b"\0" * before + b"\nKEY: /late\n")
        assert list(find(store, "late").values()) == found
    place.write_bytes(b"\nKEY: /caf\xe9-late\n")
    assert list(find(store, "late").values()) == ["/caf\ufffd-late"]


def test_what_is_named_goes_and_all_else_stays(store: Path) -> None:
    # nginx throws files away too, at any moment.
    (store / "0" / "ab" / "!gone").symlink_to("nowhere")
    files = {path for path in store.rglob("*") if path.is_file()}
    meant = {path for path in files if path.name[-1] in "01" and path.name[0] == "0"}
    for check, left in ((True, files), (False, files - meant)):
        answer = run_module(lab_cache_purge.main, {"store": str(store), "wanted": "mlx-"}, check=check)
        assert (answer["changed"], answer["purged"]) == (True, ADDRESSES[:2])
        assert answer["diff"] == {"before": "".join(f"{one}\n" for one in ADDRESSES[:2]), "after": ""}
        assert {path for path in store.rglob("*") if path.is_file()} == left
    again = run_module(lab_cache_purge.main, {"store": str(store), "wanted": "mlx-"})
    assert (again["changed"], again["purged"]) == (False, [])


@pytest.mark.parametrize("wanted", ["", " ", "-", "/._-"])
def test_a_name_of_nothing_throws_nothing_away(store: Path, wanted: str) -> None:
    before = sorted(store.rglob("*"))
    answer = run_module(lab_cache_purge.main, {"store": str(store), "wanted": wanted})
    assert "Nothing is named, and nothing was thrown away" in answer["msg"]
    assert sorted(store.rglob("*")) == before
