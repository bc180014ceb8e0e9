"""The command line as a stranger meets it: exit codes, messages, help, and what it loads."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import catalogue, cli, mutants, plan, report, spec
from conformance.cli.list import LISTS
from conformance.errors import SpecError
from conformance.records import Claims
from conformance.schema import SCHEMAS

REPORT = SCHEMAS / "examples" / "report" / "valid" / "conformant.json"
CLAIMS = SCHEMAS / "examples" / "claims"
RUNTIMES = {"torch", "onnxruntime", "transformers", "tensorflow"}
BASH = shutil.which("bash")
ENGINE = {"pytest", "hypothesis"}


def command(*words):
    """Run a command in this process; return its exit code, whichever way it ends."""
    try:
        return cli.main(list(words))
    except SystemExit as end:
        return end.code


def loaded_by(*words):
    """Return the top-level modules that a command has loaded when it ends, in a fresh process."""
    code = (
        "import sys; from conformance.cli import main; status = main(sys.argv[1:]);"
        "print(*{m.partition('.')[0] for m in sys.modules}, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.fixture
def run_folder(tmp_path):
    (tmp_path / "report.json").write_bytes(REPORT.read_bytes())
    return tmp_path


WRONG_USAGE = {
    "": "required: VERB",
    "rnu": "there is no verb 'rnu'. Did you mean 'run'?",
    "run": "name a candidate: --candidate adapter[:target]. Adapters: ",
    "run --candidate": "--candidate: expected one argument",
    "run --profil decoder": "run has no option '--profil'. Did you mean '--profile'?",
    "run --candidate reference --seed x": "--seed 'x' is not a number",
    "run --candidate reference --memory-limit 4": "needs --isolate",
    "plan --candidate onnxruntim": "Did you mean 'onnxruntime'?",
    "plan --candidate reference --profile decodr": "Did you mean 'decoder'?",
    "plan --candidate reference --profile closed-form --model x": "closed form: leave out --model",
    "plan --candidate ?": "adapter[:target][?key=value&...]",
    "explain": "required: ID",
    "explain BATCH-0O1": "there is no requirement 'BATCH-0O1'. Did you mean 'BATCH-001'?",
    "explain ATTN-003 ATTN-004": "explain takes no further argument: 'ATTN-004'",
    "list requirement": "cannot list 'requirement'. Did you mean 'requirements'?",
    "report nowhere": "'nowhere' does not exist; name a run folder or a report.json",
    "report . --format pdf": "there is no report format 'pdf'. Known: ",
    "report . --format htm": "there is no report format 'htm'. Did you mean 'html'?",
    "export llama-gqa new --format onxx": "package format 'onxx'. Did you mean 'onnx'?",
    "export llama-gqa new --opset 22": "no opset of an ONNX build '22'. Known: 20, 23, 24, 25",
    "export llama-gqa new --dtype float61": "Did you mean 'float16'?",
    "export llama-gqa new --format safetensors --opset 24": "there is none. Leave them out",
    "diff nowhere nowhere": "'nowhere' does not exist",
    "diff one": "required: NEW",
    "validate reprot x": "there is no format of kind 'reprot'. Did you mean 'report'?",
    "validate report nowhere.json": "cannot read 'nowhere.json'",
    "validate report": "required: FILE",
    "export llama-gqb new": "Did you mean 'llama-gqa'?",
    "completion tcsh": "there is no completion for shell 'tcsh'.",
}


@pytest.mark.parametrize("words", WRONG_USAGE)
def test_wrong_usage_exits_with_4_and_says_what_is_right(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(*words.split()) == 4
    printed = capsys.readouterr()
    assert WRONG_USAGE[words] in printed.err
    assert "error: " in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("candidate", ["onnxruntim", "./nowhere.py:device0"])
def test_a_run_of_an_unknown_candidate_exits_with_4(candidate, capfd, tmp_path):
    assert command("run", "--candidate", candidate, "--out", str(tmp_path / "run")) == 4
    assert Path(candidate.partition(":")[0]).name in capfd.readouterr().err


def test_a_broken_standard_is_a_fault_of_the_suite(monkeypatch, capsys):
    def broken():
        raise SpecError("requirement ATTN-003 is defined twice")

    monkeypatch.setattr(spec, "load", broken)
    assert command("list", "requirements") == 3
    assert capsys.readouterr().err.startswith("fault of the suite: requirement ATTN-003")


def test_ctrl_c_exits_with_2_and_says_so(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(spec, "load", interrupted)
    assert command("list", "requirements") == 2
    assert capsys.readouterr().err == "interrupted before anything ran\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    line = shlex.join([sys.executable, "-m", "conformance", "list", "requirements"])
    done = subprocess.run(
        [BASH, "-c", f"set -o pipefail; {line} | head -0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_help_of_plan_names_no_option_that_changes_no_plan(capsys):
    assert command("plan", "--help") == 0
    text = capsys.readouterr().out
    assert "--only" in text
    assert not re.search("--(seed|replay|jobs|call-limit|memory-limit)", text)
    cli.build_parser().parse_args(["plan", "--candidate=reference", "--seed=1"])


def test_help_shows_every_verb_and_the_exit_codes(capsys):
    assert command("--help") == 0
    text = capsys.readouterr().out
    assert set(re.findall(r"^    (\w+)", text, re.MULTILINE)) == set(cli.verbs())
    assert "exit codes of a run:" in text


@pytest.mark.parametrize("verb", cli.verbs())
def test_help_of_a_verb_has_examples_that_parse(verb, capsys):
    assert command(verb, "--help") == 0
    _, _, examples = capsys.readouterr().out.partition("examples:\n")
    found = re.findall(r"llm-conformance ([^#)>\n]+)", examples)
    assert any(line.split()[0] == verb for line in found)
    for line in found:
        if line.split()[0] in cli.verbs():
            cli.build_parser().parse_args(shlex.split(line))


@pytest.mark.parametrize("what", LISTS)
def test_a_list_has_a_head_and_rows_and_loads_no_engine(what, capsys):
    assert command("list", what) == 0
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith(LISTS[what][0][0])
    assert set(rule) == {"-", " "}
    assert len(rows) == len(LISTS[what][1]()) > 1
    assert not loaded_by("list", what) & (RUNTIMES | ENGINE | {"jsonschema"})


def test_without_a_name_the_lists_themselves_are_listed(capsys):
    assert command("list") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [[name, str(len(rows()))] for name, (_, rows) in LISTS.items()]


def test_listing_the_requirements_loads_no_array_library_either():
    assert "numpy" not in loaded_by("list", "requirements")


@pytest.mark.parametrize("form", report.formats())
def test_a_report_is_rendered_without_runtimes_and_engine(form, run_folder):
    written = run_folder / "rendered"
    words = ("report", run_folder, "--format", form, "--output", written)
    assert not loaded_by(*words) & (RUNTIMES | ENGINE | {"onnx"})
    assert written.stat().st_size > 100


def test_a_report_is_found_by_its_folder_and_by_its_file(run_folder, capsys):
    assert command("report", str(run_folder)) == 0
    by_folder = capsys.readouterr().out
    assert by_folder.startswith("requirement")
    assert command("report", str(REPORT)) == 0
    assert capsys.readouterr().out == by_folder


def test_a_report_that_is_none_is_told_with_code_and_place(run_folder, capsys):
    (run_folder / "report.json").write_text('{"schema": 1}')
    assert command("report", str(run_folder)) == 4
    assert re.search(r"report\.json: .*\[L2-", capsys.readouterr().err)
    assert command("report", str(run_folder / "empty")) == 4


def test_a_report_that_cannot_be_written_is_told(run_folder, capsys):
    output = str(run_folder / "no" / "folder.html")
    assert command("report", str(run_folder), "--output", output) == 4
    assert f"cannot write {output!r}" in capsys.readouterr().err


def test_diff_exits_with_1_when_anything_got_worse(run_folder, capsys):
    assert command("diff", str(REPORT), str(run_folder)) == 0
    assert capsys.readouterr().out == "nothing got worse\n"
    slower = json.loads(REPORT.read_text())
    found = [m for r in slower["requirements"] for c in r["cases"] for m in c["measurements"]]
    grown = next(m for m in found if 0 < m["observed"] < m["limit"])
    old = json.loads(REPORT.read_text())
    text = json.dumps(old).replace(
        json.dumps(grown), json.dumps({**grown, **_with_observed(grown, grown["limit"] * 0.01)})
    )
    (run_folder / "report.json").write_text(text)
    assert command("diff", str(run_folder), str(REPORT)) == 1
    assert "of the limit" in capsys.readouterr().out


def _with_observed(measurement, observed):
    return {"observed": observed, "headroom": 1 - observed / measurement["limit"]}


def test_diff_of_other_profiles_exits_with_4(run_folder, capsys):
    other = {**json.loads(REPORT.read_text()), "profile": "another"}
    (run_folder / "report.json").write_text(json.dumps(other))
    assert command("diff", str(REPORT), str(run_folder)) == 4
    assert "profile: decoder and another" in capsys.readouterr().err


def test_validate_tells_each_file_and_exits_with_the_worst(capsys):
    good, bad = CLAIMS / "valid" / "decoder.json", CLAIMS / "invalid" / "unknown-key.json"
    assert command("validate", "claims", str(good)) == 0
    assert capsys.readouterr().out == f"ok       {good}\n"
    assert command("validate", "claims", str(bad), str(good)) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"invalid  {bad}: ")
    assert first.endswith("[L2-UNEVALUATED-PROPERTIES]")
    assert second == f"ok       {good}"
    assert command("validate", "claims", "nowhere.json", str(bad)) == 4
    printed = capsys.readouterr()
    assert "nowhere.json" in printed.err
    assert str(bad) in printed.out


@pytest.mark.parametrize("identifier", spec.load().requirements)
def test_explain_tells_source_tolerance_checks_and_mutants(identifier, capsys):
    assert command("explain", identifier) == 0
    text = " ".join(capsys.readouterr().out.split())
    requirement = spec.load().requirements[identifier]
    assert text.startswith(f"{identifier} {requirement.statement}")
    assert requirement.source in text
    assert all(check.name in text for check in catalogue.deciding(identifier))
    killed = [m for m in mutants.all_mutants().values() if identifier in m.kills]
    summaries = (f"kills {m.name}: {' '.join(m.summary.split())}" for m in killed)
    assert all(summary in text for summary in summaries)
    if requirement.untestable is None:
        assert " tolerance " in text
        assert " basis " in text


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_explain_fits_the_terminal(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert command("explain", "ATTN-006") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= columns for line in lines if len(line.split()) > 2)


def test_plan_says_what_would_run_and_what_not_and_why(capsys, tmp_path):
    claims = tmp_path / "claims.json"
    claims.write_text('{"capabilities": ["logits"], "precision": "fp32"}')
    words = ("--candidate", "reference", "--claims", str(claims), "--out", str(tmp_path / "run"))
    assert command("plan", *words, "--only", "LOGITS-001", "--only", "CACHE-001") == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "-0" in line}
    assert "2 checks on each of 3 models" in rows["LOGITS-001"]
    assert "NOT APPLICABLE: cache is not claimed" in rows["CACHE-001"]
    assert "NOT RUN: not selected" in rows["ATTN-003"]
    assert not (tmp_path / "run").exists()


def test_plan_tells_how_long_it_took_last_time():
    standard = spec.load()
    claims = Claims(frozenset(standard.capabilities))
    planned = plan.plan(standard, standard.profiles["decoder"], claims, ["LOGITS-001"])
    check = catalogue.deciding("LOGITS-001")[0]
    past = {f"{check.name}/llama-gqa": 1.5, f"{check.name}/llama-mqa-tied": 2.0}
    text = plan.describe(planned, catalogue.all_checks(), past, models=3)
    (row,) = [line for line in text.splitlines() if line.startswith("LOGITS-001")]
    assert row.endswith("3.5 s")
    assert text.endswith(f"1 of {len(planned)} requirements would be checked; last time took 4 s")
    assert plan.describe(planned, catalogue.all_checks(), {}, models=3).endswith(
        "no earlier run to time it by"
    )


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ru", {"run"}),
        ("run --cand", {"--candidate"}),
        ("run --candidate onnxr", {"onnxruntime"}),
        ("plan --profile ", set(spec.load().profiles)),
        ("run --only CACHE-", {f"CACHE-00{n}" for n in range(1, 9)}),
        ("explain ATTN-00", {f"ATTN-00{n}" for n in range(1, 10)}),
        ("run --only=CACHE-", {f"CACHE-00{n}" for n in range(1, 9)}),
        ("run --candidate mutant:attention-scaled-t", {"attention-scaled-twice"}),
        ("run --candidate=mutant:attention-scaled-t", {"attention-scaled-twice"}),
        ("run --candidate ./ada", {"./adapter.py"}),
        ("run --see", {"--seed"}),
        ("plan --see", set()),
        ("report --format h", {"html"}),
        ("list req", {"requirements"}),
        ("export llama-gq", {"llama-gqa"}),
        ("export previous-n", {"previous-near"}),
        ("validate hf", {"hf-config"}),
        ("completion z", {"zsh"}),
    ],
)
def test_bash_completes(line, found, capsys, tmp_path):
    (tmp_path / "adapter.py").touch()
    assert command("completion", "bash") == 0
    line = f"llm-conformance {line}"
    words = re.findall(r"[=:]|[^=: ]+|(?<= )$", line)  # as bash splits them
    steps = [
        capsys.readouterr().out,
        f"cd {shlex.quote(str(tmp_path))}",
        f"COMP_WORDS=({' '.join(shlex.quote(word) for word in words)})",
        f"COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}",
        f"COMP_CWORD={len(words) - 1}",
        "_llm_conformance",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    done = subprocess.run(
        [BASH, "-c", "\n".join(steps)], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == found


@pytest.mark.parametrize("shell", ["fish", "zsh"])
def test_the_other_shells_know_the_same_words(shell, capsys):
    assert command("completion", shell) == 0
    text = capsys.readouterr().out
    words = ["onnxruntime", "decoder", "ATTN-003", "hf-config", "llama-gqa", *cli.verbs()]
    assert all(word in text for word in words)
    assert ("bashcompinit" in text) == (shell == "zsh")


def test_export_writes_into_no_folder_that_holds_something(run_folder, capsys):
    assert command("export", "llama-gqa", str(run_folder)) == 4
    assert command("export", "llama-gqa", str(run_folder / "report.json")) == 4
    assert "nothing was written" in capsys.readouterr().err
    assert [file.name for file in Path(run_folder).iterdir()] == ["report.json"]
