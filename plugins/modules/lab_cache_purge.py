#!/usr/bin/python
"""Module `lab_cache_purge`: throw cached files away, so that they are fetched again. Runs on the cache host (3.8+).

nginx writes each file's key into its head (nginx, src/http/ngx_http_file_cache.c, ngx_http_file_cache_create_key:
"\\nKEY: "), and takes a file that is gone for one that it never had. Packages are written in several ways (PEP 503), so
"-", "_" and "." count as the same, and capitals do not count.
"""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

HEAD_BYTES = 4096
"""The key stands after a header of a few hundred bytes, before the answer's own headers."""


def key(head: bytes) -> str:
    """The address of a cached file, from its first bytes; "" for something else."""
    found = re.search(rb"\nKEY: ([^\n]*)\n", head)
    return found[1].decode(errors="replace") if found else ""


def names(address: str, wanted: str) -> bool:
    """Whether an address is meant."""
    return _plain(wanted) in _plain(address)


def _plain(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def find(store: Path, wanted: str) -> dict[Path, str]:
    """Cached files that are meant: path to address."""
    found = {}
    for path in sorted(store.glob("?/??/*")):
        try:
            with path.open("rb") as file:
                address = key(file.read(HEAD_BYTES))
        except FileNotFoundError:
            continue  # nginx itself threw it away meanwhile
        if address and names(address, wanted):
            found[path] = address
    return found


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"store": {"type": "path", "required": True}, "wanted": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    wanted = module.params["wanted"]
    if not re.search(r"[0-9A-Za-z]", wanted):
        module.fail_json(
            msg="Nothing is named, and nothing was thrown away. Name the file or package that the error message names, "
            "for example: -e purge=numpy-1.26.4"
        )
    found = find(Path(module.params["store"]), wanted)
    if not module.check_mode:
        for path in found:
            path.unlink()
    addresses = sorted(found.values())
    diff = {"before": "".join(f"{address}\n" for address in addresses), "after": ""}
    module.exit_json(changed=bool(found), purged=addresses, diff=diff)


if __name__ == "__main__":
    main()
