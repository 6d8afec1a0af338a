"""An address with a password is refused before anything is done, in whatever setting it stands, and is not shown."""

import pytest
from ansible_collections.metal_lab.macs.plugins.plugin_utils import settings

SECRET = "https://ana:s3cr3t@mirror.example.org/simple"  # noqa: S105 - planted


@pytest.mark.parametrize(
    ("role", "name", "value"),
    [
        ("conda_env", "conda_env_channels", [SECRET]),
        ("homebrew", "homebrew_git_remote", SECRET),
        ("homebrew", "homebrew_environment", {"HOMEBREW_BOTTLE_DOMAIN": SECRET}),
        ("miniforge", "miniforge_mirror", SECRET),
    ],
)
def test_a_roles_setting_with_a_password_is_refused(role: str, name: str, value: object) -> None:
    [said] = settings.problems(role, {name: value})
    assert said.startswith(f"{role}: {name} has an address with a password in it. ")
    assert "~/.netrc" in said
    assert "s3cr3t" not in said


def test_the_repository_keeps_its_own_where_nobody_reads_it() -> None:
    assert settings.problems("self_converge", {"self_converge_repository": SECRET}) == []


def test_text_for_a_list_is_shown_without_its_password() -> None:
    said = " ".join(settings.problems("conda_env", {"conda_env_channels": SECRET}))
    assert "https://***@mirror.example.org/simple" in said
    assert "s3cr3t" not in said


def test_a_targets_environment_has_none_but_a_proxys() -> None:
    environment = {
        "UV_DEFAULT_INDEX": SECRET,
        "HTTPS_PROXY": SECRET,
        "https_proxy": SECRET,
        "A": "https://mirror:443/@",
    }
    [said] = settings.exposed(environment)
    assert "UV_DEFAULT_INDEX" in said
    assert "s3cr3t" not in said
