"""Callback `drift`: what a run with --check would change, host by host, in results/drift/drift.json and drift.html.

DOCUMENTATION follows in Ansible's form.
"""

from __future__ import annotations

import json
import sys
import time
from html import escape
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

# The project's own modules, wherever Ansible is started from.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from verify import ROOT

DOCUMENTATION = """
name: drift
type: notification
short_description: What a run in check mode would change, as one report of the lab
description:
  - Writes results/drift/drift.json and, for reading, drift.html beside it. Other runs write nothing.
requirements:
  - enabled in ansible.cfg
"""

FOLDER = ROOT / "results" / "drift"
SCHEMA_VERSION = 1
HEAD_LINES = 40
"""Lines of a diff that the report keeps; `--check --diff --limit HOST` shows all."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none';
style-src 'unsafe-inline'"><title>Drift</title><style>body{{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;
padding:0 1rem}}pre{{overflow:auto;background:#8881;padding:.5rem}}:root{{color-scheme:light dark}}</style>
<h1>Drift, {when}</h1>
{body}
</html>
"""


def changes(result: dict[str, Any], task: str) -> dict[str, Any]:
    """One change: the task, and the head of its diff.

    Args:
        result: of a task that reported a change; its `diff` is one part or a list of them.
        task: its name.
    """
    given = result.get("diff") or []
    parts = given if isinstance(given, list) else [given]
    lines: list[str] = []
    for part in parts:
        if "prepared" in part:
            lines += str(part["prepared"]).splitlines()
            continue
        lines.append(f"@ {part.get('after_header') or part.get('before_header') or task}")
        before, after = (_lines(part.get(key)) for key in ("before", "after"))
        lines += [f"-{line}" for line in before if line not in after]
        lines += [f"+{line}" for line in after if line not in before]
    cut = len(lines) > HEAD_LINES
    return {"task": task, "diff": lines[:HEAD_LINES], "cut": cut}


def _lines(value: object) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True) if value else ""
    return text.splitlines()


def page(report: dict[str, Any]) -> str:
    """The report as one page that loads nothing; all that comes from machines is escaped."""
    parts = []
    for host, entry in report["hosts"].items():
        parts.append(f"<h2>{escape(host)}</h2>")
        if entry["problem"]:
            parts.append(f"<p>Not looked at: {escape(entry['problem'])}</p>")
        elif not entry["changes"]:
            parts.append("<p>As it should be.</p>")
        for one in entry["changes"]:
            lines = escape("\n".join(one["diff"])) + ("\n..." if one["cut"] else "")
            parts.append(f"<h3>{escape(one['task'])}</h3><pre>{lines}</pre>")
    return PAGE.format(when=escape(report["time"]), body="\n".join(parts))


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The callback; see the module's docstring."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "drift"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._hosts: dict[str, dict[str, Any]] = {}
        self._check = False

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Note whether this is a check."""
        self._check = bool(play.check_mode)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note what would change."""
        entry = self._entry(result)
        if result.result.get("changed"):
            entry["changes"].append(changes(result.result, result.task.get_name()))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note why the host could not be looked at to the end."""
        if not ignore_errors:
            self._entry(result)["problem"] = str(result.result.get("msg", ""))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note why the host could not be looked at."""
        self._entry(result)["problem"] = str(result.result.get("msg", ""))

    def _entry(self, result: Any) -> dict[str, Any]:
        return self._hosts.setdefault(result.host.name, {"changes": [], "problem": ""})

    def v2_playbook_on_stats(self, _: Any) -> None:
        """Write the report."""
        if not self._check or not self._hosts:
            return
        report = {
            "schema": SCHEMA_VERSION,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "hosts": dict(sorted(self._hosts.items())),
        }
        FOLDER.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        for name, content in (("drift.json", text), ("drift.html", page(report))):
            unfinished = FOLDER / f"{name}.tmp"
            unfinished.write_text(content, encoding="utf-8", errors="backslashreplace")
            unfinished.replace(FOLDER / name)
        self._display.display(f"\nDrift: {FOLDER / 'drift.json'}, and to read: {FOLDER / 'drift.html'}")
