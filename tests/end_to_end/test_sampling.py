"""A runtime that only draws tokens, as a vendor's file in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ADAPTER = Path(__file__).with_name("draws_by_noise.py")
ONLY = ("SAMPLE-004", "SAMPLE-014", "SAMPLE-017", "SAMPLE-019")


@pytest.mark.parametrize(("target", "fails"), [("", []), ("one-more", ["SAMPLE-014"])])
def test_a_runtime_that_only_draws_is_judged_by_its_draws(target, fails, llm):
    words = [word for name in ONLY for word in ("--only", name)]
    candidate = f"{ADAPTER}:{target}"
    ended = llm("run", "--candidate", candidate, "--profile", "sampling", "--isolate", *words)
    report = json.loads((ended.folder / "report.json").read_text(encoding="utf-8"))
    verdicts = {row["id"]: row["verdict"] for row in report["requirements"]}
    assert [name for name in ONLY if verdicts[name] == "FAIL"] == fails, ended.err
    assert verdicts["SAMPLE-004"] == "NOT_APPLICABLE", "its shares are not shown"
    assert verdicts["SAMPLE-017"] == "PASS"
    assert verdicts["SAMPLE-019"] == "NOT_APPLICABLE", "nor does it claim to repeat"
    assert report["candidate"]["claims"]["sampling"]["order"] == ["temperature", "top_k"]
    page = (ended.folder / "report.html").read_text(encoding="utf-8")
    assert "temperature, top k" in page
    assert "0.02 between them would have been noticed with a probability of 0.99" in page
