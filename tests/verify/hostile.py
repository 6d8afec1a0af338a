"""Answers that no honest machine gives: made from the schema up to its bounds, or honest ones that were spoilt.

All of it is decided by a seed, so that what fails can be made again.
"""

import copy
import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.verify import macs, told
from tests.verify.macs import Answer, Mac, Question
from verify import documents
from verify.checks.plan import MEASURED, RUNNING
from verify.documents import MalformedError
from verify.target.answers import SCHEMA
from verify.target.remote import COREML, ENVIRONMENT, FRAMEWORK, LOOK, SYSTEM

FRAMEWORK_ASKED = "mlx"
_SCHEMA = json.loads(SCHEMA.read_text(encoding="utf-8"))
_RAW = "\N{SYMBOL FOR NULL}raw%s\N{SYMBOL FOR NULL}"
RAWS = (
    *("1e400", "-1e400", "NaN", "Infinity", "-Infinity", "-0", "-0.0", "1E+2", "5e-324", "9" * 5000),
    *("[" * 10_000 + "]" * 10_000, '{"a":' * 40 + "1" + "}" * 40, '{"stage": 1, "stage": 2}', "", "'x'", "nul", "[,]"),
)
"""Texts where JSON has a value; some of them are no JSON."""
TEXTS = (
    *("", " ", "\n", "\t", "a\nb", "\x00", "\x1b[2J\x1b]0;x\x07", "\u202eevil\u202c", "\u2066x", "\ufeff", "\ud800"),
    *("\udcff", "\u2028", "é", "\N{GRINNING FACE}", "nan", "-inf", "1e400", "<script>alert(1)</script>", "[bold]x[/]"),
    *("%s %(n)s {x} {{ x }}", "../../etc/passwd", "mac-1", "internal", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z"),
    *("\uff11\uff12", "x" * 5000, "raised ", "mlx.value", "None", "OOM"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 4.0, -0.5, 0.1, 1e-300, 1e300, -1e300),
    *(2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**64)),
    *([], {}, [[]], [None], {"": ""}, [0] * 300, {"a": {"b": [1, {"c": None}]}}),
)


_MATCHING = {"^/": "/Users/me\n/x", "^[1-9][0-9]{0,3}$": "9999", "^(nan|inf|-inf)$": "nan"}
"""A text for each pattern of the schemas; for the others a name."""


def dumps(value: Any) -> str:
    """JSON, with the raw texts of RAWS in the places that stand for them."""
    text = json.dumps(value)
    for number, raw in enumerate(RAWS):
        text = text.replace(json.dumps(_RAW % number), raw)
    return text


class Samples:
    """Values that a JSON Schema allows, at its bounds more often than not."""

    def __init__(self, document: dict[str, Any], source: random.Random) -> None:
        self._definitions = document.get("$defs", {})
        self._random = source

    def of(self, schema: dict[str, Any]) -> Any:
        """A value; where the schema has conditions it may be one that it does not allow."""
        source = self._random
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.of({**self._definitions[schema["$ref"].rpartition("/")[2]], **rest})
        if "const" in schema or "enum" in schema:
            return source.choice(schema.get("enum", [schema.get("const")]))
        if "anyOf" in schema:
            return self.of(source.choice(schema["anyOf"]))
        kind = schema["type"]
        makers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": lambda one: round(self._number(one)),
            "boolean": lambda _: source.random() < 0.5,
            "null": lambda _: None,
        }
        return makers[source.choice(kind) if isinstance(kind, list) else kind](schema)

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        required = schema.get("required", [])
        wanted = [name for name in schema.get("properties", {}) if name in required or self._random.random() < 0.9]
        made = {name: self.of(schema["properties"][name]) for name in wanted}
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            for _ in range(self._random.choice((0, 1, 3))):
                name = self.of(schema.get("propertyNames", {"type": "string", "maxLength": 50}))
                made[name] = self.of(more)
        return made

    def _array(self, schema: dict[str, Any]) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 1000)
        count = self._random.choice((least, min(least + 1, most), min(least + 3, most)))
        made = [self.of(schema["items"]) for _ in range(count)]
        for name, one in schema.get("contains", {}).get("properties", {}).items():
            made = [*made, {**self.of(schema["items"]), name: one["const"]}]
        return made

    def _string(self, schema: dict[str, Any]) -> str:
        if "format" in schema:
            return self._random.choice(("2026-11-21T07:51:46Z", "1000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
        if "pattern" in schema:
            return _MATCHING.get(schema["pattern"], "Darwin")
        text = self._random.choice(TEXTS).ljust(schema.get("minLength", 0), "x")
        return text[: schema.get("maxLength", 5000)]

    def _number(self, schema: dict[str, Any]) -> float:
        # One that is excluded is the smallest number there is.
        least = 5e-324 if "exclusiveMinimum" in schema else -(2**62) if schema["type"] == "integer" else -1e308
        low: float = schema.get("minimum", least)
        high: float = schema.get("maximum", -least if least < -1 else 1e308)
        return self._random.choice((low, high, min(low + 1, high), low / 2 + high / 2))


def spoilt(value: Any, source: random.Random) -> Any:
    """A JSON value with something in it changed that no schema foresees."""
    made = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def gather(inside: Any) -> None:
        for key in inside if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ():
            places.append((inside, key))
            gather(inside[key])

    gather(made)
    if not places:
        return _odd(source)
    inside, key = source.choice(places)
    way = source.randrange(6)
    if way == 0:
        del inside[key]
    elif way == 1 and isinstance(inside, dict):
        inside[source.choice(TEXTS)] = _odd(source)
    elif way == 1:
        inside.insert(key, copy.deepcopy(inside[key]))
    elif way == 2 and isinstance(inside, list):
        source.shuffle(inside)
    elif way == 3:
        other, place = source.choice(places)
        inside[key] = copy.deepcopy(other[place])
    else:
        inside[key] = _odd(source)
    return made


def _odd(source: random.Random) -> Any:
    raw = _RAW % source.randrange(len(RAWS))
    return source.choice((raw, source.choice(TEXTS), source.choice(VALUES), source.choice(VALUES)))


def _torn(text: str, nonce: str, source: random.Random) -> tuple[Answer, bool]:
    """An answer's text spoilt on its way; and whether it can no longer say that all is well."""
    data = text.encode()
    at = source.randrange(len(data))
    last = data.rstrip(b"\n").rpartition(b"\n")[2]
    marked = nonce.encode()
    ways: list[tuple[Answer, bool]] = [
        (Answer(data[: len(data) // 2]), True),
        (Answer(b""), True),
        (Answer(b"", errors=data), True),
        (Answer(data.replace(marked, b"0" * len(marked))), True),
        (Answer(marked + b" {}\n" + data + last + b"\n"), True),
        (Answer(data + last + b"\n" + last + b"\n"), True),
        # Without an answer behind it, it is no probe's.
        (Answer(marked + b"\n" + data), False),
        (Answer(data.replace(b"\n", b"\r\n")), False),
        (Answer(b"\xff\xfe\x00banner\x1b[2J" + data), False),
        (Answer(data[:at] + b"\x1b[31m\xe2\x80\xae\xed\xa0\x80\x00\xff" + data[at:]), False),
        (Answer(data[:at] + source.randbytes(8) + data[at + 8 :]), False),
        (Answer(data[:at] + data[at + 1 :]), False),
        (Answer(data, errors=b"\x1b[2J" * 1000), False),
        (Answer(data, code=source.choice((1, 127, -9, 255, 10**6))), False),
        (Answer(data[:at] + data[at : at + 40] * 20 + data[at:]), False),
    ]
    return source.choice(ways)


@dataclass
class Hostile:
    """A machine that answers one question as no honest one does.

    Attributes:
        mac: what it would be.
        seed: decides which question, and how.
        level: of the run; what it does not ask for is not answered.
        unfit: the stage of which it said what the schema does not allow, "" for none; set by its answer. "*" is all.
    """

    mac: Mac
    seed: int
    level: str
    unfit: str = ""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - no secret
        probes = [LOOK, SYSTEM, ENVIRONMENT]
        probes += [FRAMEWORK_ASKED] * 3 if self.level in RUNNING else []
        probes += [COREML] if self.level in MEASURED else []
        self.probe = self._random.choice(probes)
        ways = (self._sampled, self._spoilt, self._spoilt, self._records, self._outcome, self._text)
        self._way = self._random.choice(ways)
        if self.probe in (LOOK, SYSTEM) and self._way in (self._records, self._outcome):
            self._way = self._text
        self._samples = Samples(_SCHEMA, self._random)

    def __call__(self, question: Question) -> Answer:
        """Its answer to a question."""
        if question.probe != self.probe:
            return macs.honest(self.mac, question)
        return self._way(question)

    def _kind(self) -> str:
        return FRAMEWORK if self.probe == FRAMEWORK_ASKED else self.probe

    def _sampled(self, question: Question) -> Answer:
        def change(definition: str, data: dict[str, Any]) -> Any:
            parts = _SCHEMA["$defs"][definition].get("properties")
            if not parts or self._random.random() < 0.3:
                return self._samples.of({"$ref": f"#/$defs/{definition}"})
            # One part alone: the others take the judge to it.
            part = self._random.choice(list(parts))
            return {**data, part: self._samples.of(parts[part])}

        return self._with(question, change)

    def _spoilt(self, question: Question) -> Answer:
        def change(_: str, data: Any) -> Any:
            for _number in range(self._random.choice((1, 1, 2, 5))):
                data = spoilt(data, self._random)
            return data

        return self._with(question, change)

    def _with(self, question: Question, change: Callable[[str, Any], Any]) -> Answer:
        """The honest answer with the data of one stage changed."""
        nonce = question.nonce
        if self.probe == LOOK:
            text = dumps(change("record", self.mac.record))
            self._fits("record", "record", text)
            return Answer(macs.look(self.mac, nonce, text).encode("utf-8", "replace"))
        if self.probe == SYSTEM:
            pairs = change("system.system", dict(self.mac.brought))
            pairs = pairs if isinstance(pairs, dict) else {"": pairs}
            return Answer(macs.brought(pairs, nonce).encode("utf-8", "replace"))
        found = self.mac.found(self.probe, question.asked)
        stage = self._random.choice(list(found))
        definition = f"{self._kind()}.{stage}"
        records = [dumps(one) for one in told.records({**found, stage: {"its": "data"}})]
        text = dumps(change(definition, found[stage]))
        self._fits(stage, definition, text)
        outcome = macs.outcome({})
        outcome["records"] = [one.replace('{"its": "data"}', text) for one in records]
        return _line(nonce, dumps(outcome))

    def _fits(self, stage: str, definition: str, text: str) -> None:
        try:
            documents.check(documents.parse(text), SCHEMA, definition)
        except MalformedError:
            self.unfit = stage

    def _records(self, question: Question) -> Answer:
        outcome = macs.outcome(self.mac.found(self.probe, question.asked))
        lines = outcome["records"]
        at = self._random.randrange(len(lines))
        record = json.loads(lines[at])
        other = self._random.choice(("import", "python", "unknown", "look", "import/properties/version", "%2e~1"))
        failed = {"stage": record["stage"], "event": "error", "error": "", "trace": ""}
        ways: list[Callable[[], object]] = [
            lambda: lines.pop(at),
            lambda: lines.insert(at, lines[at]),
            lambda: lines.append(lines[at]),
            functools.partial(self._random.shuffle, lines),
            lines.reverse,
            lambda: lines.__setitem__(at, lines[at][: len(lines[at]) // 2]),
            lambda: lines.__setitem__(at, dumps(spoilt(record, self._random))),
            lambda: lines.__setitem__(at, dumps({**record, "stage": other})),
            lambda: lines.insert(at, dumps({"stage": other, "event": "start"})),
            lambda: lines.__setitem__(at, dumps(failed)),
            lambda: lines.extend([dumps({"stage": f"s{number}", "event": "start"}) for number in range(300)]),
            lines.clear,
        ]
        self._random.choice(ways)()
        return _line(question.nonce, dumps(outcome))

    def _outcome(self, question: Question) -> Answer:
        outcome = macs.outcome(self.mac.found(self.probe, question.asked))
        records = outcome.pop("records")
        changed = spoilt(outcome, self._random)
        if isinstance(changed, dict):
            changed.setdefault("records", records)
        return _line(question.nonce, dumps(changed))

    def _text(self, question: Question) -> Answer:
        honest = macs.honest(self.mac, question).output.decode()
        answer, unfit = _torn(honest, question.nonce, self._random)
        if unfit:
            self.unfit = "*"
        return answer


def _line(nonce: str, text: str) -> Answer:
    return Answer(f"\n{nonce} {text}\n".encode("utf-8", "replace"))
