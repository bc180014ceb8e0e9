"""The real command, in a process of its own: messages, exit codes, and what is left behind."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import cli
from conformance.selection import from_options

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FAULTY = HERE / "faulty.py"


@pytest.fixture
def faulty(llm, tiny):
    def run(fault, *words, **options):
        return llm("run", "--candidate", f"{FAULTY}:{fault}", "--model", tiny, *words, **options)

    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a candidate"),
        (["--candidate", "onnxruntim"], "Did you mean 'onnxruntime'?"),
        (["--candidate", "./missing.py:x"], "does not exist"),
        (["--candidate", "no.such.module"], "no.such.module"),
        (["--candidate", "reference:gpu"], "unknown target 'gpu'"),
        (["--candidate", "onnxruntime:CUDAExecutionProvide"], "Did you mean 'CUDAExecutionProv"),
        (["--candidate", "mutant:nope"], "more."),
        (["--candidate", "reference", "--profile", "decode"], "Did you mean 'decoder'?"),
        (["--candidate", "reference", "--only", "ATTN-1"], "Did you mean"),
        (["--candidate", "reference", "--model", "nowhere"], "'nowhere'"),
        (["--candidate", "reference", "--claims", "nowhere.json"], "'nowhere.json'"),
        (["--candidate", "reference", "--replay", "nowhere.json"], "'nowhere.json'"),
        (["--candidate", "reference", "--seed", "one"], "is not a number"),
        (["--candidate", "reference", "--call-limit", "3"], "needs --isolate"),
        (["--candidate", "reference", "--out", "/dev/null/x"], "--out"),
        (["--candidate", "reference", "--colour", "red"], "--colour"),
    ],
)
def test_wrong_usage_is_told_in_one_line_and_exits_with_4(words, said, llm):
    ended = llm("run", *words)
    assert ended.code == 4, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count(said) == 1
    assert not ended.folder.exists(), "nor an empty folder"


@pytest.mark.parametrize("words", [["--only", "NO-001"], ["--candidate", "referenc"]])
def test_wrong_words_cost_no_report(words, llm, tiny):
    good = ["--candidate", "reference", "--model", tiny, "--only", "PKG-001"]
    before = llm("run", *good)
    report = before.report
    ended = llm("run", *good, *words)
    assert ended.code == 4
    assert f"{before.folder / 'report.json'} is of an earlier run" in ended.err
    assert ended.report == report
    assert (before.folder / "report.html").is_file()
    again = llm("run", *good)
    assert "the earlier report was set aside: " in again.out
    assert (again.folder / ".previous-run" / "report.json").is_file()


def test_a_folder_with_files_of_the_users_is_not_touched(llm, tiny, tmp_path):
    mine = tmp_path / "run" / "evidence" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", encoding="utf-8")
    ended = llm("run", "--candidate", "reference", "--model", tiny)
    assert ended.code == 4
    assert "--out" in ended.err
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("family", ["MambaForCausalLM", "RwkvForCausalLM"])
def test_a_checkpoint_of_an_unknown_architecture_is_refused(family, llm, tiny, tmp_path):
    folder = tmp_path / "unknown"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["architectures"], config["model_type"] = [family], family[:4].lower()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    ended = llm("run", "--candidate", "reference", "--model", folder)
    assert ended.code == 4
    told = f"{folder / 'config.json'}: model_type is {family[:4].lower()!r}; the suite evaluates"
    assert told in ended.err
    assert "rope_parameters" in ended.err, "what is read"
    assert "leave out --model" in ended.err, "what to do"


def test_a_fault_of_the_suite_exits_with_3(llm, tmp_path):
    package = tmp_path / "broken"
    shutil.copytree(ROOT / "conformance", package / "conformance")
    shutil.copytree(ROOT / "schemas", package / "schemas")
    profile = package / "conformance" / "spec" / "profiles" / "decoder.json"
    document = json.loads(profile.read_text(encoding="utf-8"))
    document["requirements"].append("NONE-001")
    profile.write_text(json.dumps(document), encoding="utf-8")
    ended = llm("run", "--candidate", "reference", env={"PYTHONPATH": str(package)})
    assert ended.code == 3
    assert "NONE-001" in ended.err
    assert not ended.has_report


def test_an_incomplete_run_exits_with_2(llm, tiny):
    ended = llm("run", "--candidate", "reference", "--model", tiny, "--only", "PKG-001")
    assert ended.code == 2
    assert ended.report["outcome"] == "incomplete"
    assert "a partial selection cannot be conformant" in ended.out


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", "logits raised ZeroDivisionError: integer division or modulo by zero"),
        ("unsupported", "no kernel for this size"),
        ("nan", "nan noise units (rms) at logits[0, 0, 0]"),
        ("shape", "128, 31]; wanted [2, 128, 32] (batch, tokens, vocabulary)"),
        ("type", "type float64; the claimed type is float32: claim fp64, or convert"),
        ("none", "logits is a NoneType; wanted a NumPy array"),
        ("list", "logits is a list; wanted a NumPy array"),
        ("open", "opening the candidate raised OSError: the device is on fire"),
        ("load", "load(tiny) raised MemoryError: no room for the weights"),
    ],
)
def test_a_faulty_candidate_is_nonconformant_and_told_why(fault, said, faulty):
    ended = faulty(fault, "--only", "LOGITS-001", "--only", "PKG-001")
    assert ended.code == 1, ended.out + ended.err
    assert ended.report["outcome"] == "nonconformant"
    failed = ended.case("test_logits_on")
    assert failed["verdict"] == "FAIL"
    assert said in failed["message"].replace("NaN", "nan")
    assert "reproduce: llm-conformance run" in ended.out
    assert (ended.folder / "report.html").is_file()
    assert (ended.folder / "junit.xml").is_file()


@pytest.mark.parametrize("fault", ["raises", "none", "type", "load", "open", "honest"])
def test_a_process_of_its_own_changes_no_word_of_a_failure(fault, faulty):
    told = []
    for words in ((), ("--isolate",)):
        ended = faulty(fault, "--only", "CACHE-001", "--only", "LOGITS-001", *words)
        cases = [case for row in ended.report["requirements"] for case in row["cases"]]
        told.append([case["message"] for case in cases if case["verdict"] == "FAIL"])
    assert told[0] == told[1] != []
    if fault in ("raises", "load", "open"):
        assert re.search(rf"\n  {re.escape(str(FAULTY))}:\d+: .*\w", told[0][0])


def test_a_crash_in_the_suites_process_is_told_by_its_innermost_calls(faulty):
    ended = faulty("segfault", "--only", "LOGITS-001")
    assert ended.code == 2
    stack = ended.err.partition("Fatal Python error")[2].splitlines()
    assert any("faulty.py" in line for line in stack[:6])
    assert len(stack) < 16
    assert (ended.folder / "evidence" / "crash.txt").stat().st_size > 1000
    again = faulty("honest", "--only", "PKG-001")
    assert not (again.folder / "evidence" / "crash.txt").exists()


def test_a_model_with_too_few_positions_is_refused_before_anything_runs(llm, tiny, tmp_path):
    short = tmp_path / "short"
    shutil.copytree(tiny, short)
    config = json.loads((tiny / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "max_position_embeddings": 63})
    (short / "config.json").write_text(text, encoding="utf-8")
    ended = llm("run", "--candidate", "reference", "--model", short)
    assert ended.code == 4
    assert "short/config.json: max_position_embeddings is 63; at least 64" in ended.err
    assert not ended.folder.exists()


ADAPTERS = {
    "import acme_of_nowhere": "No module named 'acme_of_nowhere'",
    "def open(target, options)": "SyntaxError",
    "open = None\nraise OSError('no licence')": "OSError: no licence",
}


@pytest.mark.parametrize("text", ADAPTERS)
@pytest.mark.parametrize("isolated", [(), ("--isolate",)])
def test_an_adapter_that_cannot_be_imported_says_nothing_of_a_runtime(
    text, isolated, llm, tmp_path
):
    (tmp_path / "mine.py").write_text(f"import math\n{text}\n", encoding="utf-8")
    ended = llm("run", "--candidate", "./mine.py:x", *isolated)
    assert ended.code == 4, ended.out
    assert ADAPTERS[text] in ended.err
    line = 2 + text.count("\n")
    assert f"{tmp_path / 'mine.py'}:{line}: " in ended.err
    assert not ended.folder.exists()


def test_a_runtime_that_an_adapter_cannot_import_makes_it_unavailable(llm, tmp_path):
    text = (HERE / "twenty_lines.py").read_text(encoding="utf-8")
    text = text.replace(
        "    yield Candidate()", "    import acme_of_nowhere\n    yield Candidate()"
    )
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    ended = llm("run", "--candidate", "./mine.py")
    assert ended.code == 4
    assert "'./mine.py' cannot be opened here: ModuleNotFoundError: No module" in ended.err
    assert re.search(r"mine\.py:\d+: import acme_of_nowhere", ended.err)


def test_an_adapter_module_that_is_not_there_is_told_with_where_it_was_looked_for(llm, tmp_path):
    ended = llm("run", "--candidate", "no.such.module")
    assert f"looked in {tmp_path} and on" in ended.err
    assert "PYTHONPATH" in ended.err


def test_a_method_that_is_claimed_and_absent_fails_with_its_name(faulty):
    ended = faulty("honest", "--only", "CACHE-001")
    assert ended.code == 1
    assert "claims 'cache', but its Model has no method start" in ended.case("test_")["message"]


def test_claims_can_be_narrowed_by_a_file(faulty, tmp_path):
    claims = tmp_path / "claims.json"
    claims.write_text(
        json.dumps({"capabilities": ["logits"], "precision": "fp32"}), encoding="utf-8"
    )
    ended = faulty("honest", "--claims", claims)
    assert ended.code == 0, ended.out + ended.err
    cache = next(r for r in ended.report["requirements"] if r["id"] == "CACHE-001")
    assert cache["verdict"] == "NOT_APPLICABLE"
    assert cache["reason"] == "cache is not claimed"


def test_a_counterexample_is_replayed_alone_and_fails_again(faulty):
    found = faulty("one-and-a-half", "--only", "LOGITS-002", "--only", "PKG-001")
    case = found.case("test_logits_of_any")
    assert case["verdict"] == "FAIL"
    stored = found.folder / case["counterexample"]
    again = faulty("one-and-a-half", "--replay", stored, folder="again")
    assert again.code == 1
    assert again.cases() == {case["id"]: "FAIL"}
    judged = [one["message"].partition("\n")[0] for one in (again.case("test_"), case)]
    assert judged[0] == judged[1]
    repaired = faulty("honest", "--replay", stored, folder="repaired")
    assert repaired.code == 2, "one case that passes makes nothing conformant"
    assert repaired.cases() == {case["id"]: "PASS"}
    assert repaired.report["outcome"] == "incomplete"


def test_a_replay_cannot_clear_its_own_counterexample(faulty):
    found = faulty("one-and-a-half", "--only", "LOGITS-002")
    stored = found.folder / found.case("test_")["counterexample"]
    refused = faulty("one-and-a-half", "--replay", stored)
    assert refused.code == 4
    assert "--out" in refused.err
    assert stored.is_file()


@pytest.mark.parametrize(
    ("fault", "said"), [("segfault", "SIGSEGV"), ("exit", "code 0"), ("hang", "3")]
)
def test_an_isolated_candidate_that_dies_fails_its_case_and_the_run_goes_on(fault, said, faulty):
    ended = faulty(
        *(fault, "--isolate", "--call-limit", "3", "--only", "LOGITS-001", "--only", "PKG-001"),
        timeout=120,
    )
    assert ended.code == 1, ended.err
    assert said in ended.case("test_logits_on")["message"]
    assert [v for k, v in ended.cases().items() if "logits" not in k] == ["PASS"]
    assert ended.report["run"]["isolated"]


def test_a_death_fails_the_case_in_which_it_happened_and_no_other(faulty):
    ended = faulty("dies-on-batches", "--isolate", timeout=200)
    assert ended.code == 1, ended.err
    cases = [case for row in ended.report["requirements"] for case in row["cases"]]
    died = [case for case in cases if "exited with code 5" in case["message"]]
    assert len(died) > 4
    lacking = [case for case in cases if "start" in case["message"]]
    late = [case for case in cases if "restarts allowed" in case["message"]]
    for case in cases:
        wanted = "NOT_RUN" if case in late else "FAIL" if case in died + lacking else "PASS"
        assert case["verdict"] == wanted, case
        assert not case["flaky"]


def test_what_is_not_asked_of_a_candidate_that_only_dies_is_not_run(faulty):
    ended = faulty("exit", "--isolate", timeout=200)
    assert ended.code == 1, ended.err
    for row in ended.report["requirements"]:
        for case in row["cases"]:
            if "restarts allowed" in case["message"]:
                assert case["verdict"] == "NOT_RUN"
                assert not case["counterexample"]


def test_an_adapter_of_twenty_lines_in_a_file_of_ones_own_is_certified(llm, tiny, tmp_path):
    text = (HERE / "twenty_lines.py").read_text(encoding="utf-8")
    code = [line for line in text.splitlines()[1:] if line.strip()]
    assert len(code) <= 20
    (tmp_path / "my_adapter.py").write_text(text, encoding="utf-8")
    ended = llm("run", "--candidate", "./my_adapter.py:x", "--model", tiny)
    assert ended.code == 0, ended.out + ended.err
    assert ended.report["outcome"] == "conformant"
    assert ended.report["models"][0]["build"] == "exported by the suite: opset 20, float32"


def test_a_reader_that_goes_away_does_not_change_the_exit_code(environment, tiny, tmp_path):
    words = ["--candidate", "reference", "--model", str(tiny), "--only", "PKG-001"]
    command = [sys.executable, "-m", "conformance", "run", *words]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 2
    assert b"Traceback" not in errors


def test_the_line_that_reproduces_a_failure_leaves_its_report_alone(llm, tiny, tmp_path):
    ended = llm("run", "--candidate", f"{FAULTY}:nan", "--model", tiny, "--out", tmp_path / "run")
    line = ended.case("test_logits_on")["reproduce"]
    assert "--only=LOGITS-001" in line
    selections = [from_options(_options(words)) for words in (ended.report["run"]["argv"], line)]
    own = [dataclasses.replace(selection, out="").folder for selection in selections]
    assert own[0] != own[1]


def _options(words):
    words = shlex.split(words)[2:] if isinstance(words, str) else words
    parsed = cli.build_parser().parse_args(["run", *words])
    return {n: v for n, v in vars(parsed).items() if v is not None and n not in ("verb", "run")}


def test_the_last_line_names_the_report(llm, tiny):
    ended = llm("run", "--candidate", "reference", "--model", tiny, "--only", "PKG-001")
    assert ended.out.splitlines()[-1] == f"report: {ended.folder / 'report.html'}"


def test_a_candidate_is_held_against_a_second_one_and_both_are_told_of(llm):
    words = ("--only", "EQUIV-001", "--only", "EQUIV-006", "--seed", "1")
    ended = llm("run", "--candidate", "reference", "--against", "mutant:rows-scaled", *words)
    assert ended.code == 1, ended.err
    report = json.loads((ended.folder / "report.json").read_text())
    assert report["against"]["candidate"]["name"] == "mutant rows-scaled"
    assert report["profile"] == "equivalence"
    verdicts = {row["id"]: row["verdict"] for row in report["requirements"]}
    assert (verdicts["EQUIV-001"], verdicts["EQUIV-006"]) == ("PASS", "FAIL")
    assert "mutant:rows-scaled moved" in ended.out
    for models in (report["models"], report["against"]["models"]):
        for model in models:
            assert (ended.folder / "evidence" / "logits" / f"{model['answer']}.npy").is_file()


def test_without_a_device_nothing_is_held_against_it(llm):
    ended = llm("run", "--candidate", "reference", "--against", "pytorch:cuda:99")
    assert ended.code == 4
    assert "'cuda:99'" in ended.err
    assert not ended.folder.exists()
