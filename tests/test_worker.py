"""Hostile candidates in a process of their own: the suite survives each, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from conformance.candidate import open_candidate
from conformance.errors import (
    CandidateCrashed,
    CandidateRaised,
    CandidateTimeout,
    CandidateUnavailable,
    MalformedOutput,
    RestartsSpent,
    Unsupported,
    UsageError,
)
from conformance.records import OperatorCall
from conformance.worker import Limits, isolated

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = Path(__file__).with_name("adapters") / "hostile.py"
LIMITS = Limits(call_s=20, load_s=60, restarts=1000)


@dataclass(frozen=True)
class Folder:
    """What the worker asks of a package."""

    path: Path
    name: str
    built: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def adapter():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HOSTILE.parent))  # the child finds open_package there
        yield str(HOSTILE)


@pytest.fixture(scope="module")
def candidate(adapter):
    with isolated(adapter, LIMITS, "hostile:open_package") as opened:
        yield opened


def does(candidate, deed):
    return candidate.operator(OperatorCall(deed, 13, {}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Folder(tmp_path_factory.mktemp("model"), "tiny")


@pytest.fixture(scope="module")
def model(candidate, folder):
    return candidate.load(folder)


def tokens(*ids):
    ids_BT = np.array([ids], np.int64)
    return ids_BT, np.ones_like(ids_BT), np.arange(len(ids), dtype=np.int64)[None]


CRASHES = {
    "segfault": "SIGSEGV",
    "exit": "exited with code 3",
    "forks": "exited with code 4",
    "forks and floods": "exited with code 4",
    "half an array": "exited with code 6",
    "closes": "closed its pipe",
}


@pytest.mark.parametrize(("deed", "words"), CRASHES.items(), ids=CRASHES)
def test_a_crash_is_told_and_the_next_call_works(candidate, deed, words):
    began = time.monotonic()
    with pytest.raises(CandidateCrashed, match=words):
        does(candidate, deed)
    assert time.monotonic() - began < LIMITS.call_s / 2
    assert does(candidate, "fine")["Y"].tolist() == [1, 1]


def test_a_crash_quotes_what_the_process_printed_last(candidate):
    with pytest.raises(CandidateCrashed, match="about to read address 0") as caught:
        does(candidate, "segfault")
    assert "in segfault" in str(caught.value), "the stack of the crash"


def test_of_a_deep_stack_the_innermost_calls_are_quoted(candidate):
    with pytest.raises(CandidateCrashed, match="Fatal Python error") as caught:
        does(candidate, "segfault below")
    assert "in string_at" in str(caught.value)
    assert "in segfault" in str(caught.value)


MALFORMED = {
    "object": "Y is an array of object; allowed: bfloat16",
    "text": "operator answered str, not a dict of arrays",
    "names": "operator answered dict, not a dict of arrays",
    "list": "Y is a list; wanted a NumPy array",
    "malformed": "a shape is wrong",
    "garbage": "a frame starts with",
    "huge header": "a header of 2147483648 bytes",
    "no json": "not strict JSON",
    "nan": "NaN is not JSON",
    "twice": "a key stands twice",
    "deep": "not strict JSON",
    "no answer": "neither a result nor an error",
    "no error": "neither a result nor an error",
    "objects": "an array is announced as",
    "negative": "an array is announced as",
    "huge array": "announces 1 arrays of",
    "two of a name": "two arrays of one name",
}


@pytest.mark.parametrize(("deed", "words"), MALFORMED.items(), ids=MALFORMED)
def test_malformed_answers_are_refused_and_the_next_call_works(candidate, deed, words):
    with pytest.raises(MalformedOutput, match=words):
        does(candidate, deed)
    assert does(candidate, "fine")["Y"].tolist() == [1, 1]


def test_bytes_that_nobody_asked_for_are_no_answer(candidate):
    does(candidate, "late")
    time.sleep(0.4)
    with pytest.raises(MalformedOutput, match="'arrays'"):
        does(candidate, "fine")
    assert does(candidate, "fine")["Y"].tolist() == [1, 1]


@pytest.mark.parametrize("deed", ["sleep", "stop"])
def test_a_hanging_call_is_ended_at_its_time_limit(adapter, deed):
    with isolated(adapter, Limits(call_s=0.5)) as candidate:
        does(candidate, "fine")
        began = time.monotonic()
        with pytest.raises(CandidateTimeout, match=r"did not answer within 0.5 s"):
            does(candidate, deed)
        assert 0.5 <= time.monotonic() - began < 3
        with pytest.raises(CandidateTimeout):
            candidate.operator(OperatorCall(deed, 13, {"X": np.zeros(1 << 20)}))


def test_an_allocation_above_the_memory_limit_fails_and_the_process_lives(adapter):
    with isolated(adapter, Limits(memory_bytes=1 << 30)) as candidate:
        before = does(candidate, "pid")["Y"]
        with pytest.raises(CandidateRaised, match="MemoryError"):
            does(candidate, "allocate")
        assert does(candidate, "pid")["Y"] == before


def test_prints_do_no_harm(candidate):
    assert does(candidate, "prints")["Y"].tolist() == [1, 1]


def test_exceptions_tell_type_message_and_line_and_the_process_lives(candidate):
    before = does(candidate, "pid")["Y"]
    with pytest.raises(CandidateRaised, match=r"^raises raised KeyError: 0\n.*hostile.py:\d+"):
        does(candidate, "raises")
    with pytest.raises(CandidateRaised, match="SystemExit: 5"):
        does(candidate, "sys.exit")
    with pytest.raises(CandidateRaised) as caught:
        does(candidate, "raises oddly")
    assert "\x1b" not in str(caught.value), "control codes of the candidate's"
    assert len(str(caught.value)) < 5000
    with pytest.raises(Unsupported, match="no kernel"):
        does(candidate, "unsupported")
    assert does(candidate, "pid")["Y"] == before


def test_arrays_and_fields_cross_unchanged(candidate):
    for dtype in (np.float16, np.float64, np.int64, np.uint8, bool, ml_dtypes.bfloat16, ">f4"):
        sent = np.array([[0, 1, 1]], np.uint8).astype(dtype)[:, ::2]
        call = OperatorCall("Echo", 13, {"X": sent}, {"alpha": np.float32(0.5)}, ("Y", "Z"))
        answer = candidate.operator(call)
        assert answer["Y"].dtype == np.dtype(dtype).newbyteorder("=")
        assert np.array_equal(answer["Y"], sent)
        assert answer["Z"].shape == ()
        assert answer["Z"] == 0.5
    assert does(candidate, "float16")["Y"].dtype == np.float16


def test_info_crosses(candidate):
    info = candidate.info
    assert (info.name, info.device, info.claims.precision) == ("hostile", "cpu", "bf16")
    assert info.claims.capabilities == {"operators"}
    assert info.digests == {"a": "b"}


@pytest.mark.parametrize("text", ["pytorch?dtype=bfloat16", "onnx_reference"])
def test_every_claim_crosses(text):
    """A contract's terms and operators too: without them an honest candidate is failed."""
    with open_candidate(text) as direct, isolated(text, LIMITS) as alone:
        assert alone.info == direct.info


def test_what_was_built_for_a_model_in_the_child_is_known_here(model, folder):
    assert model
    assert folder.built == {"model.onnx"}


def test_models_answer_and_are_loaded_again_after_a_crash(model):
    logits = model.logits(*tokens(5, 6))
    assert logits.tolist() == [[[5, 1, 0], [6, 1, 1]]]
    with pytest.raises(CandidateCrashed, match="exited with code 7"):
        model.logits(*tokens(666))
    assert np.array_equal(model.logits(*tokens(5, 6)), logits)
    states = model.hidden_states(*tokens(5, 6))
    assert states["layer.0"].tolist() == [[10, 12]]
    assert states["layer.1"].shape == ()
    assert states["none"].shape == (2, 0, 3)


def test_inner_values_of_a_graph_cross_and_die_with_their_process(model):
    assert model.graph_file == Path("model.onnx")
    feed = model.feed(*tokens(5, 6))
    assert {name: array.shape for name, array in feed.items()} == {
        "input_ids": (1, 2),
        "past": (1, 0),
    }
    shown = model.showing(["a", "b", "c"])
    assert [int(array) for array in shown(["c", "a"], *tokens(5, 6))] == [13, 11]
    with pytest.raises(CandidateCrashed, match="exited with code 7"):
        shown(["a"], *tokens(666))
    with pytest.raises(CandidateCrashed, match="has ended"):
        shown(["a"], *tokens(5))


def test_sessions_keep_state_and_die_with_their_process(candidate, model):
    session = model.start(1)
    assert session.append(*tokens(2, 3)).dtype == ml_dtypes.bfloat16
    twin = session.copy()
    session.crop(40)
    assert session.append(*tokens(1))[0, 0, 0] == 41
    assert twin.append(*tokens(1))[0, 0, 0] == 7
    twin.reorder([1, 0])
    assert twin.append(*tokens(1))[0, 0, 0] == 11
    with pytest.raises(CandidateCrashed):
        does(candidate, "exit")
    for _ in range(2):
        with pytest.raises(CandidateCrashed, match="its session is gone"):
            session.append(*tokens(1))
    assert model.start(1).append(*tokens(1))[0, 0, 0] == 2


def test_sessions_that_are_forgotten_here_are_forgotten_there(candidate, model):
    kept = [model.start(1) for _ in range(5)]
    before = int(does(candidate, "sessions")["Y"])
    del kept[1:]
    assert int(does(candidate, "sessions")["Y"]) == before - 4


def test_a_process_that_only_dies_is_given_up(adapter):
    with isolated(adapter, Limits(restarts=2)) as candidate:
        for _ in range(3):
            with pytest.raises(CandidateCrashed, match="exited with code 3"):
                does(candidate, "exit")
        for _ in range(2):
            with pytest.raises(RestartsSpent, match="more than the 2 restarts allowed; the la"):
                does(candidate, "fine")


def test_a_process_that_answers_between_its_deaths_is_started_again_each_time(adapter):
    with isolated(adapter, Limits(restarts=0)) as candidate:
        for answer in ("fine", "fine", "unsupported"):
            if answer == "fine":
                does(candidate, answer)
            else:
                with pytest.raises(Unsupported):
                    does(candidate, answer)
            with pytest.raises(CandidateCrashed):
                does(candidate, "exit")
        does(candidate, "fine")


def test_a_candidate_that_cannot_be_opened_says_why(adapter):
    with pytest.raises(CandidateUnavailable, match="not installed"), isolated(f"{adapter}:absent"):
        pass
    with pytest.raises(UsageError, match="no adapter 'absent'"), isolated("absent"):
        pass
    with pytest.raises(CandidateCrashed, match="code 9"), isolated(f"{adapter}:crash"):
        pass
    with (
        pytest.raises(CandidateTimeout),
        isolated(f"{adapter}:hang", Limits(load_s=3)),
    ):
        pass


def gone(pid):
    """Whether a process ends within five seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; prctl is Linux's")


@linux
def test_the_process_ends_with_the_context(adapter):
    with isolated(adapter) as candidate:
        pid = int(does(candidate, "pid")["Y"][0])
    assert gone(pid)


@linux
def test_the_process_dies_when_the_suite_is_killed(adapter):
    code = (
        "import sys, conformance.worker as w; from conformance.records import OperatorCall\n"
        f"with w.isolated({adapter!r}) as c:\n"
        "    print(int(c.operator(OperatorCall('pid', 13, {}))['Y'][0]), flush=True)\n"
        "    c.operator(OperatorCall('sleep', 13, {}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment
    ) as suite:
        assert suite.stdout is not None
        pid = int(suite.stdout.readline())
        suite.send_signal(signal.SIGKILL)
    assert gone(pid)
