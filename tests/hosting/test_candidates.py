"""Candidates that try to end, to excuse or to silence the run: none of them gets away with it."""

from __future__ import annotations

from pathlib import Path

import pytest

CANDIDATES = Path(__file__).parent / "candidates.py"


@pytest.fixture
def deed(llm, tiny):
    def run(name, *words):
        return llm("run", "--candidate", f"{CANDIDATES}:{name}", "--model", tiny, *words)

    return run


def test_the_honest_one_among_them_is_conformant(deed):
    ended = deed("honest")
    assert ended.code == 0, ended.err
    assert ended.report["outcome"] == "conformant"
    assert ended.report["run"]["hermetic"]


@pytest.mark.parametrize("name", ["exits-0", "exits-1", "exits-2", "exits-4", "segfaults"])
def test_a_candidate_that_ends_the_process_leaves_an_incomplete_report(deed, name):
    ended = deed(name)
    assert ended.code == 2
    assert ended.report["outcome"] == "incomplete"
    assert "--isolate" in ended.err
    assert "PASS" in ended.cases().values(), "what ran before the death is kept"
    assert "NOT_RUN" in ended.cases().values()
    assert (ended.folder / "report.html").exists()
    assert (ended.folder / "junit.xml").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("skips", "raised Skipped: excuse me"),
        ("xfails", "raised XFailed: excuse me"),
        ("leaves", "raised Exit: all is well"),
        ("system-exit", "raised SystemExit: 0"),
        ("rejects", "raised UnsatisfiedAssumption"),
        ("stops-hypothesis", "raised StopTest"),
        ("unreadable", "raised Unreadable: its text cannot be read"),
        ("escapes", "conformant: release, fp32"),
        ("group", "raised ExceptionGroup: many"),
    ],
)
def test_a_candidate_that_raises_fails_and_the_run_goes_on(deed, name, said):
    ended = deed(name, "--only", "ATTN-001", "--only", "ATTN-004", "--only", "REPORT-001")
    assert ended.code == 1
    assert ended.report["outcome"] == "nonconformant"
    failed = ended.case("test_hidden_tokens")
    assert failed["verdict"] == "FAIL"
    assert said in failed["message"]
    assert "\x1b" not in ended.out + failed["message"]
    assert ended.case("test_the_candidate")["verdict"] == "PASS"


def test_a_candidate_that_raises_keyboard_interrupt_stops_the_run_as_the_user_would(deed):
    ended = deed("interrupts")
    assert ended.code == 2
    assert ended.report["outcome"] == "incomplete"
    assert "the run was interrupted" in ended.out


@pytest.mark.parametrize("name", ["interrupted-in-a-callback", "swallows-the-interrupt"])
def test_ctrl_c_ends_the_run_wherever_its_exception_is_lost(deed, name):
    ended = deed(name)
    assert ended.code == 2, ended.out
    assert ended.report["outcome"] == "incomplete"
    assert set(ended.cases().values()) == {"PASS", "NOT_RUN"}
    assert "the run was interrupted" in ended.out


def test_a_candidate_that_terminates_the_process_leaves_a_report(deed):
    ended = deed("terminates")
    assert ended.code == 2
    assert ended.report["outcome"] == "incomplete"


def test_wrong_answers_are_nonconformant(deed):
    ended = deed("wrong", "--only", "ATTN-004", "--only", "LOGITS-002")
    assert ended.code == 1
    assert "FAIL" in ended.cases().values()


def test_a_candidate_that_changes_the_folder_loses_nothing(deed):
    ended = deed("chdir")
    assert ended.code == 0, ended.err
    assert ended.report["outcome"] == "conformant"


def test_a_candidate_that_answers_in_one_buffer_is_judged_on_each_answer(deed):
    assert deed("one-buffer").code == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("patches-the-judge", "conformance.judge.max_within_noise"),
        ("flatters-where-judges-settle", "conformance.judge.noise.settle"),
    ],
)
def test_a_judge_patched_from_inside_is_not_believed(deed, name, told):
    ended = deed(name)
    assert ended.report["outcome"] != "conformant", ended.out
    assert ended.code in (1, 2)
    assert "in the suite's process" in ended.out
    cases = [case for row in ended.report["requirements"] for case in row["cases"]]
    errors = [case["message"] for case in cases if case["verdict"] == "ERROR"]
    assert errors
    assert all("--isolate" in error for error in errors)
    assert any(told in error for error in errors)
    assert "the suite's own code was replaced" in ended.err


def test_a_judge_patched_from_a_process_of_its_own_judges_on(deed):
    ended = deed("patches-the-judge", "--isolate")
    assert ended.code == 1
    assert ended.report["run"]["isolated"]
    messages = [c["message"] for r in ended.report["requirements"] for c in r["cases"]]
    assert any("noise units" in message for message in messages)


def test_a_candidate_that_ends_the_process_on_opening_leaves_no_report(deed):
    ended = deed("open-exits-0")
    assert ended.code == 2
    assert not ended.has_report
    assert "nothing was run" in ended.err


def test_a_candidate_without_a_description_fails_what_is_demanded(deed):
    ended = deed("info-none", "--only", "REPORT-001", "--only", "ATTN-001")
    assert ended.code == 1
    for case in ("test_later", "test_the_candidate"):
        assert ended.case(case)["verdict"] == "FAIL"
        assert "the candidate's info is a NoneType; wanted" in ended.case(case)["message"]


def test_digests_that_are_no_mapping_are_the_candidates_fault(deed):
    ended = deed("digests-none", "--only", "REPORT-001")
    assert ended.code == 1
    assert "has digests None; wanted" in ended.case("test_the_candidate")["message"]


def test_a_description_that_breaks_a_terminal_is_judged_and_then_cleaned(deed):
    ended = deed("odd-name", "--only", "REPORT-001")
    assert ended.code == 1
    assert ended.report["candidate"]["version"] == "not told"
    assert "\x1b" not in ended.out
    assert ended.case("test_the_candidate")["verdict"] == "FAIL"


def test_a_candidate_that_raises_when_it_is_closed_has_been_judged_by_then(deed):
    ended = deed("close-raises")
    assert ended.code == 0
    assert "closing the candidate raised RuntimeError: not today" in ended.err
