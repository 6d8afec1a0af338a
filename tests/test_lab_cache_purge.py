"""What of a cache is thrown away: what is named, in whichever way it is written, and nothing else."""

from pathlib import Path

import pytest

from roles.lab_cache.library.lab_cache_purge import find, key

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
