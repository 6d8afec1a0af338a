"""What a failed uv run means, in the words of uv 0.13 for each."""

import subprocess

import pytest
import uv_tool

CASES = {
    "hash": (
        "error: Failed to download `six==1.17.0`\n  cause: Hash mismatch for `six==1.17.0`\n",
        "playbooks/cache.yml --tags purge -e purge=six-1.17.0`",
    ),
    "archive": (
        "error: Failed to download `mlx==0.32.4`\n"
        "  cause: Failed to extract archive: mlx-0.32.4-cp311-cp311-macosx_14_0_arm64.whl\n",
        "purge=mlx-0.32.4-cp311-cp311-macosx_14_0_arm64.whl`",
    ),
    "502": ("HTTP status server error (502 Bad Gateway) for url (http://c/x)", "its clock right, room on its disk"),
    "cut": ("  cause: connection closed before message completed", "ended an answer in its middle"),
    "down": ("  cause: tcp connect error: Connection refused (os error 61)", "does not answer"),
    "full": ("error: No space left on device (os error 28)", "The disk is full"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_explained(case: str) -> None:
    said, wanted = CASES[case]
    explained = uv_tool.explain(subprocess.CompletedProcess([], 2, "", said))
    assert wanted in explained
    assert explained.endswith(said.strip())
