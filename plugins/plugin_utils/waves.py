"""Waves of hosts: whether the next one may begin after what became of the one before."""

from __future__ import annotations

from ansible.utils.helpers import pct_to_int


def split(hosts: list[str], sizes: list[int | str]) -> list[list[str]]:
    """The waves that a play's `serial` makes of its hosts, as ansible-core does (executor/playbook_executor.py).

    Args:
        hosts: all hosts of the play, in its order.
        sizes: of each wave, a number or a share such as "20%"; the last one goes on.
    """
    waves: list[list[str]] = []
    rest = list(hosts)
    while rest:
        size = pct_to_int(sizes[min(len(waves), len(sizes) - 1)], len(hosts)) if sizes else len(hosts)
        size = size if size > 0 else len(rest)
        waves.append(rest[:size])
        rest = rest[size:]
    return waves


def refusal(host: str, hosts: list[str], going_on: list[str], sizes: list[int | str], limit: float) -> str:
    """Why a host's wave may not begin; "" where it may.

    Args:
        host: the host.
        hosts: all hosts of the play, in its order.
        going_on: those that have not failed and could be reached.
        sizes: of the waves, as for `split`.
        limit: per cent of a wave that may fail.
    """
    waves = split(hosts, sizes)
    number = next(index for index, wave in enumerate(waves) if host in wave)
    if number == 0:
        return ""
    before = waves[number - 1]
    failed = [one for one in before if one not in going_on]
    if 100 * len(failed) <= limit * len(before):
        return ""
    return (
        f"Not begun: of the wave before, {len(failed)} of {len(before)} failed ({', '.join(failed)}), and "
        f"wave_max_failed allows {limit:g} %. Look at those first, then run again: what is right is not touched."
    )
