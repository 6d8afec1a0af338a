"""Action `collect`: what became of the last run of a machine that converges itself, in one round trip."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import Any

from ...verify import RESULTS, documents, text
from ...verify.documents import MalformedError
from ...verify.errors import UserError
from ...verify.results import files
from ..plugin_utils.action import Action

SECONDS_PER_HOUR = 3600
# The folder is the one of facts.sh and module_utils/lab_record.py, and below it that of the role self_converge. No more
# is taken of a file than shows that it is too large (verify/documents.py). Which profile it converges is its own
# business: the newest result counts, also one of a version that knew one profile.
SCRIPT = """
pull="${XDG_DATA_HOME:-$HOME/.local/share}/metal-lab/pull"
# Of a file alone: a pipe would be waited for.
[ ! -f "$pull/last.json" ] || head -c 10000 "$pull/last.json" 2>/dev/null; echo; echo "--$1"
found=$(ls -t "$pull/checkout/results/$1.json" "$pull/checkout/results/$1".*.json 2>/dev/null | head -n 1)
[ ! -f "$found" ] || head -c 8000001 "$found" 2>/dev/null; echo; echo "--end"
"""
STEPS = {
    "settings": "its settings are wrong",
    "fetch": "it could not fetch",
    "signature": "what it fetched is not signed as it should be, so it ran nothing of it",
    "older": "what it fetched is older than what it converged from before, or signed at a time that has not been yet. "
    "To go back, sign it anew or set self_converge_rollback",
    "checkout": "it could not check out what it fetched",
    "converge": "./converge failed",
}
LOGS = "Its logs: ~/.local/share/metal-lab/pull/logs."


def judge(note: str, now: datetime, max_age_hours: float) -> str:
    """Why a machine's last run is no good; "" where it is.

    Args:
        note: its last.json, "" for none.
        now: the time, with its zone.
        max_age_hours: after which the run counts as missing.
    """
    if not note.strip():
        return f"It has not run yet, or does not converge itself (playbooks/pull.yml). {LOGS}"
    try:
        last = documents.parse(note)
        ended = documents.time_of(last["ended"])
        step, code, ref = text.line(str(last["step"])), int(last["exit_code"]), text.line(str(last["ref"]))
    except (ValueError, KeyError, TypeError) as error:
        return f"Its note of the last run cannot be read ({error!r}): {note.strip()[:200]!r}. {LOGS}"
    if ended > now + files.SKEW:
        return (
            f"Its last run ended at {last['ended']}, which has not been yet: the clock was wrong, there or here. {LOGS}"
        )
    if code != 0:
        return f"Its run of {last['ended']} at {ref}: {STEPS.get(step, step)} (exit code {code}). {LOGS}"
    age = (now - ended).total_seconds() / SECONDS_PER_HOUR
    if age > max_age_hours:
        return f"Its last run ended {age:.0f} hours ago, at {ref}. Is it switched off at night? {LOGS}"
    return ""


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fetch, judge, and keep the result."""
        host = task_vars["inventory_hostname"]
        name = files.safe(host)
        done = self.shell(f"/bin/sh -s -- {shlex.quote(name)}", SCRIPT)
        parts = str(done["stdout"]).replace("\r\n", "\n").split(f"\n--{name}\n")
        if done["rc"] != 0 or len(parts) != 2 or "\n--end" not in parts[1]:  # noqa: PLR2004 (the note and the result)
            raise UserError(f"The machine's answer is not complete: {done['stdout']}{done['stderr']}")
        verdict = self._keep(host, parts[1].split("\n--end")[0].strip())
        problem = judge(parts[0], datetime.now(UTC), options["max_age_hours"])
        if not problem and verdict != "healthy":
            problem = f"Its last run went well, but its result says that it is {verdict}. {LOGS}"
        return {"failed": True, "msg": problem} if problem else {"verdict": verdict}

    @staticmethod
    def _keep(host: str, text: str) -> str:
        """Put a machine's result into results/, if it is one: it comes from a machine that could be anybody's.

        Returns:
            its verdict; unverified where there is no result.
        """
        if not text:
            return "unverified"
        try:
            data = files.understand(text, datetime.now(UTC))
            if data["host"] != host:
                raise MalformedError(f"it names the machine {data['host']!r}")
        except MalformedError as error:
            raise UserError(f"The result of {host} cannot be used: {error}") from error
        RESULTS.mkdir(exist_ok=True)
        profile = data["profile"]
        # JUnit tells of verifications that were made from here.
        (RESULTS / "junit" / files.file_name(host, profile)).with_suffix(".xml").unlink(missing_ok=True)
        files.put(RESULTS, host, profile, f"{json.dumps(data, indent=2, ensure_ascii=False)}\n".encode())
        return str(data["verdict"])
