"""The machine and its state, as label and value for people."""

from collections.abc import Callable
from typing import Any

from .language import Language

_TWO_DAYS_H = 48


def facts(data: dict[str, Any], language: Language) -> list[tuple[str, str]]:
    """The machine and its state; what is not known is left out."""
    machine, state, chip = data["machine"], data["state"] or {}, data["chip"] or {}
    yes, no = language.gettext("yes"), language.gettext("no")

    def words(value: Any) -> str:
        return yes if value else no

    def span(figures: list[float], unit: str) -> str:
        low, high = figures
        text = language.short(low) if low == high else language.span(low, high)
        return f"{text} {unit}"

    shown: list[tuple[str, Any, Callable[[Any], str]]] = [
        (language.gettext("Processor"), machine.get("cpu"), str),
        (language.gettext("Processor cores"), machine.get("cores"), str),
        (language.gettext("GPU cores"), machine.get("gpu_cores"), str),
        (language.gettext("Memory"), machine.get("memory_bytes"), language.size),
        (language.gettext("Model"), machine.get("model") or None, str),
        (language.gettext("System"), machine or None, lambda one: f"{one['system']} {one['os_version']}"),
        (language.gettext("Peak fp32"), chip.get("fp32_tflops"), lambda one: span(one, "TFLOPS")),
        (language.gettext("Peak fp16"), chip.get("fp16_tflops"), lambda one: span(one, "TFLOPS")),
        (language.gettext("Peak bandwidth"), chip.get("bandwidth_gb_s"), lambda one: span(one, "GB/s")),
        (language.gettext("Power"), state.get("power_source"), lambda one: _power(one, language)),
        (language.gettext("Low-power mode"), state.get("low_power_mode"), words),
        (language.gettext("Thermal pressure"), state.get("thermal_pressure"), str),
        (language.gettext("Memory pressure"), state.get("memory_pressure"), str),
        (
            language.gettext("Free memory"),
            state.get("memory_free_percent"),
            lambda one: language.percent(one / 100),
        ),
        (language.gettext("Swap in use"), state.get("swap_used_bytes"), language.size),
        (language.gettext("Load over a minute"), state.get("load_1m"), language.short),
        (language.gettext("Memory the GPU may keep"), state.get("wired_limit_bytes"), language.size),
        (language.gettext("Virtual machine"), state.get("virtual_machine"), words),
        (language.gettext("Rosetta"), machine.get("translated"), words),
        (
            language.gettext("Battery's temperature"),
            state.get("battery_c"),
            lambda one: f"{language.short(one)} °C",
        ),
        (language.gettext("Power drawn"), state.get("power_w"), lambda one: f"{language.short(one)} W"),
        (language.gettext("Up for"), state.get("uptime_s"), lambda one: _duration(one, language)),
    ]
    return [(label, write(value)) for label, value, write in shown if value is not None]


def _power(source: str, language: Language) -> str:
    return {"ac": language.gettext("power supply"), "battery": language.gettext("battery")}.get(source, source)


def _duration(seconds: float, language: Language) -> str:
    hours = round(seconds / 3600)
    if hours < _TWO_DAYS_H:
        return language.ngettext("%(n)s hour", "%(n)s hours", hours)
    return language.ngettext("%(n)s day", "%(n)s days", hours // 24)
