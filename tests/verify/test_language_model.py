"""The small language model: what it must say, and what is made of what it says."""

from typing import Any

import pytest

from tests.verify import told
from tests.verify.test_judgement import M1
from verify.checks import language_model
from verify.checks.framework import FrameworkJudge
from verify.profile.model import LANGUAGE_MODEL
from verify.results.model import CheckResult, FrameworkReport

WORDS = told.GENERATED["said"].split()


def judge(**changes: Any) -> dict[str, CheckResult]:
    data = {"import": told.GOOD["import"], "device": told.GOOD["device"], "generate": {**told.GENERATED, **changes}}
    judge = FrameworkJudge("lm", version="1.0", device="gpu", chip=M1, report=FrameworkReport(required=True))
    outcome = told.outcome("framework", told.records(data))
    found = told.judged("framework", judge, outcome, level="quick", kind=LANGUAGE_MODEL, framework=["lm"])
    return {one.check.removeprefix("lm."): one for one in found}


def test_a_model_that_says_what_it_must() -> None:
    found = judge()
    assert list(found) == ["import", "version", "device", "generate", "placement", "exit"]
    assert {one.result for one in found.values()} == {"pass"}


@pytest.mark.parametrize(
    ("said", "at", "told_"),
    [
        (["w9", *WORDS[1:]], 0, f"'w9 {WORDS[1]} {WORDS[2]}'"),
        ([*WORDS[:20], "w0", *WORDS[21:]], 20, f"'w0 {WORDS[21]} {WORDS[22]}'"),
        (WORDS[:7], 7, "'nothing'"),
        ([*WORDS, "w1"], 24, "'w1'"),
        ([], 0, "'nothing'"),
    ],
)
def test_the_first_wrong_word_is_named(said: list[str], at: int, told_: str) -> None:
    found = judge(said=" ".join(said))["generate"]
    assert (found.result, found.fault) == ("fail", "wrong-value")
    assert found.message.startswith(f"after {at} right words of 24 it says {told_} instead of ")


def test_words_of_another_device_are_no_proof_of_this_one() -> None:
    found = judge(ran_on="cpu:0")
    assert (found["generate"].result, found["placement"].fault) == ("pass", "other-device")


def test_no_answer_hangs_on_rounding_and_the_words_are_no_constant() -> None:
    words = range(len(language_model.SUCCESSORS))
    assert sorted(language_model.SUCCESSORS) == list(words)
    said = list(language_model.PROMPT)
    for word in language_model.expected():
        # In float64, as the network computes it, from counts alone.
        share = [said.count(one) / len(said) * 32 * (1 + one / 64) + (one == said[-1]) for one in words]
        first, second = sorted(share)[:-3:-1]
        assert word == language_model.SUCCESSORS[share.index(first)]
        assert first - second > 0.01
        said.append(word)
    assert len(set(language_model.expected())) > 5
    # The last word would end the text.
    assert max(said) < max(words)
