"""Filters for what comes from outside: the one way in which it gets into the cache's configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ...verify.bundle import allowed
from ...verify.errors import UserError


def plain_address(text: str) -> str:
    """See plain_address.yml."""
    try:
        return allowed.address(text)
    except UserError as error:
        raise AnsibleFilterError(str(error)) from error


def index_origins(page: str, index: str, more: Sequence[str] = ()) -> list[str]:
    """See index_origins.yml."""
    try:
        return allowed.origins(page, index, more)
    except UserError as error:
        raise AnsibleFilterError(str(error)) from error


def bundle_about(text: str) -> dict[str, Any]:
    """See bundle_about.yml."""
    try:
        found = allowed.about(text)
    except UserError as error:
        raise AnsibleFilterError(f"bundle.json is not what a bundle says of itself: {error}") from error
    return {"holds": sorted(found.holds), "locks": found.locks}


def nginx_quote(text: str) -> str:
    """See nginx_quote.yml."""
    # A "$" begins a variable in quotes too, and nothing takes that from it.
    if "$" in text or not text.isprintable():
        raise AnsibleFilterError(f"nginx's configuration cannot hold this text: {text!r}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class FilterModule:
    """The filter plugins."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by their names."""
        return {
            "bundle_about": bundle_about,
            "index_origins": index_origins,
            "nginx_quote": nginx_quote,
            "plain_address": plain_address,
        }
