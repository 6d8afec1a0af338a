"""What a user is told of each failure that the real conda was recorded with, and what is left of the environment."""

import json
from typing import Any

import pytest

from tests.helpers import conda_transcripts
from tests.helpers.conda_transcripts import ABSENT, COMPACT
from tests.plugins.modules.conda_env.conftest import Lab

COMPACTED: dict[str, dict[str, Any]] = json.loads(COMPACT.read_text(encoding="utf-8"))
FULL = conda_transcripts.transcripts()

NETWORK = "The channel could not be reached."
MISSING = "The channels were reached. Mend the name or the version"
CONFLICT = "Asked for was: python=3.11, pip, ffmpeg. No set of packages is all of that"
ENDED = "Something ended conda while it worked."
SCRIPT = "The script that conda-forge::postfail-1.0-0 brings for its installation failed"
ALTERED = "ffmpeg-8.0.1-gpl_h6d84c9d_0.conda came altered"
RIGHTS = "This user may not write there."
FROZEN = "Delete its conda-meta/frozen"
UNKNOWN = "Nothing is known here of such a failure."

SAID = {
    "create-channel-no-index": ("sign in", "answers with something that is no index"),
    "create-checksum-mismatch": ("expected sha256: 0000", ALTERED),
    "create-connection-refused": ("refused.example", NETWORK),
    "create-connection-refused-cached": ("refused.example", NETWORK),
    "create-dependency-not-found": ("UnsatisfiableError", CONFLICT),
    "create-name-not-resolved": ("no-such-host.example", NETWORK),
    "create-package-not-found": ("- no-such-package", MISSING),
    "create-post-link-failure": ("boo", SCRIPT),
    "create-prefix-is-file": ("Unable to create prefix directory", RIGHTS),
    "create-python-series-not-found": ("- python=3.99", MISSING),
    "create-readonly-envs": ("Unable to create prefix directory", RIGHTS),
    "create-readonly-pkgs": ("Unable to create prefix directory", RIGHTS),
    "create-readonly-prefix": ("does not have write permissions", RIGHTS),
    "create-sigint-fetching": ("Signal interrupt SIGINT", ENDED),
    "create-sigint-linking": ("Signal interrupt SIGINT", ENDED),
    "create-sigint-post-link": ("Signal interrupt SIGINT", ENDED),
    "create-sigterm-fetching": ("Signal interrupt SIGTERM", ENDED),
    "create-sigterm-linking": ("Signal interrupt SIGTERM", ENDED),
    "create-sigterm-post-link": ("Signal interrupt SIGTERM", ENDED),
    "create-solver-conflict": ("pyten-only -> python", CONFLICT),
    "create-solver-conflict-versions": ("oldlib -> numpy", CONFLICT),
    "create-spec-invalid": ("- numpy[version", MISSING),
    "create-spec-invalid-version": ("Invalid spec 'numpy>=1.26,<<2'", "Mend the specification in"),
    "create-two-packages-not-found": ("- no-such-package", MISSING),
    "install-already-satisfied-refused": ("refused.example", NETWORK),
    "install-channel-404": ("no-such-channel", "The server was reached, and has no such channel."),
    "install-checksum-mismatch": ("expected sha256: 0000", ALTERED),
    "install-conflict": ("pyten-only -> python", CONFLICT),
    "install-conflict-installed-dependent": ("numpy=1.26", CONFLICT),
    "install-conflict-versions": ("oldlib -> numpy", CONFLICT),
    "install-connection-refused": ("refused.example", NETWORK),
    "install-corrupt-history": ("UnicodeDecodeError", UNKNOWN),
    "install-dry-run-not-found": ("- no-such-package", MISSING),
    "install-frozen": ("marked as frozen", FROZEN),
    "install-frozen-message": ("Kept for the course of autumn 2026.", FROZEN),
    "install-no-history": ("not a conda environment", UNKNOWN),
    "install-no-prefix": ("Not a conda environment", UNKNOWN),
    "install-post-link-failure": ("boo", SCRIPT),
    "install-post-link-failure-with-change": ("boo", SCRIPT),
    "install-sigint": ("Signal interrupt SIGINT", ENDED),
    "install-sigterm": ("Signal interrupt SIGTERM", ENDED),
    "remove-corrupt-record": ("numpy-1.23.5-py311h60f8152_0.json", "Delete the file that is named"),
    "remove-dry-run-not-installed": ("- ffmpeg", MISSING),
    "remove-frozen": ("marked as frozen", FROZEN),
    "remove-no-environment": ("not a conda environment", UNKNOWN),
    "remove-no-names": ("no package names supplied", UNKNOWN),
    "remove-not-installed": ("- ffmpeg", MISSING),
    "remove-one-not-installed": ("- ffmpeg", MISSING),
}
"""What conda says of it, and what follows."""

SETTINGS = (
    "create-allowlist-channels-other", "create-condarc-invalid", "create-condarc-wrong-type",
    "create-denylist-channels", "create-offline-condarc", "create-offline-index-cached",
    "create-offline-nothing-cached",
    "create-override-channels-enabled-false", "create-override-channels-enabled-false-user",
    "create-subdir-base-condarc", "create-subdir-condarc",
)  # fmt: skip

"""What only a user's settings lead to, which no call of the project's lets in."""

DRY = "if '--dry-run' in sys.argv:\n    print('{\"success\": true}')\n    sys.exit()"


def test_every_recorded_failure_has_its_words() -> None:
    assert {*SAID, *SETTINGS} == COMPACTED.keys()


def streams(name: str) -> tuple[str, str]:
    """What conda printed, as far as the compact form has it."""
    one = COMPACTED[name]
    return json.dumps(one["stdout"]) if one["stdout"] else "", "".join(f"{line}\n" for line in one["stderr"])


def held(lab: Lab, name: str, out: str, err: str) -> None:
    """The module, where conda answers so: to the change itself, where what it would do is no failure yet."""
    command = name.partition("-")[0]
    lines = [DRY] if COMPACTED[name].get("at") in {"link", "fetch"} or "-sig" in name else []
    if "post-link" in name or name in {"install-sigint", "install-sigterm"}:
        lines.append(
            f"__import__('pathlib').Path({str(lab.prefix)!r}, 'conda-meta', 'history').unlink(missing_ok=True)"
        )
    if command != "create":
        lab.run(packages=["pip", "htop"])
    before = lab.environment_tree()
    lab.conda_says(out, err, 1, left="\n".join(lines))
    asked: dict[str, Any] = {"absent_packages": ["htop"]} if command == "remove" else {"packages": ["pip", "ffmpeg"]}
    failed = lab.run(**asked)
    said, way = SAID[name]
    assert failed["msg"].startswith(f"conda {command} failed: "), failed["msg"]
    assert said in failed["msg"], failed["msg"]
    assert way in failed["msg"], failed["msg"]
    assert (NETWORK in failed["msg"]) == (way == NETWORK)
    assert failed["changed"] is False
    assert lab.environment_tree() == before
    assert not any(word in failed["msg"] for word in ("Traceback", "search bar", "conda config"))


@pytest.mark.parametrize("name", SAID)
def test_each_failure_is_told_with_its_own_way_out(lab: Lab, name: str) -> None:
    held(lab, name, *streams(name))


@pytest.mark.skipif(not FULL, reason=ABSENT)
@pytest.mark.parametrize("name", SAID)
def test_so_it_is_with_every_word_that_conda_said(lab: Lab, name: str) -> None:
    held(lab, name, FULL[name]["stdout"], FULL[name]["stderr"])


@pytest.mark.parametrize(
    ("said", "way"),
    [
        ("NoSpaceLeftError: No space left on devices.", "The disk is full."),
        ("OSError(28, '[Errno 28] No space left on device')", "The disk is full."),
        ("CondaHTTPError: HTTP 401 UNAUTHORIZED for url <https://x>", "The server was reached, and refuses."),
        ("CondaSSLError: certificate verify failed: CERTIFICATE_VERIFY_FAILED", "certificate is not trusted"),
        ("ProxyError: Conda cannot proceed due to an error in your proxy configuration.", "HTTPS_PROXY"),
        ("SpecsConfigurationConflictError: Requested specs conflict with configured specs.", "conda-meta/pinned"),
        ("LibMambaUnsatisfiableError: Encountered problems while solving", CONFLICT),
    ],
)
def test_failures_that_are_known_from_condas_sources_alone(lab: Lab, said: str, way: str) -> None:
    lab.conda_says(json.dumps({"message": said}), code=1)
    failed = lab.run(packages=["pip", "ffmpeg"])
    assert failed["msg"].startswith(f"conda create failed: {said}\n")
    assert way in failed["msg"]
