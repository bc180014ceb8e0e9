"""The checks run by somebody else's pytest: complete and right, or not conformant."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from conformance import catalogue, hermetic
from conformance.selection import Selection

HOSTILE = """
import hypothesis, pytest

def pytest_collection_modifyitems(items):
    {collection}

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    {call}
"""


@pytest.fixture
def incomplete(owed):
    def check(ended):
        assert ended.code == 2, ended.out
        assert ended.report["outcome"] == "incomplete"
        assert not ended.report["run"]["hermetic"]
        assert set(ended.cases()) == owed, "every case that is owed is listed"
        return ended

    return check


@pytest.fixture
def conformant(fulfilled):
    def check(ended):
        assert ended.code == 0, ended.out
        assert ended.report["outcome"] == "conformant"
        assert not ended.report["run"]["hermetic"]
        assert ended.cases() == fulfilled
        return ended

    return check


def test_another_projects_pytest_runs_the_checks_and_says_that_it_is_not_hermetic(
    under_pytest, conformant
):
    ended = conformant(under_pytest())
    assert "not hermetic" in ended.out
    assert "conformant: release, fp32" in ended.out


@pytest.mark.parametrize(
    ("profile", "requirement"),
    [
        ("operators", "SOFTMAX-001"),
        ("release", "GEN-001"),
        ("sampling", "SAMPLE-001"),
        ("tokenizer", "TOK-001"),
    ],
)
def test_another_projects_pytest_asks_for_whatever_is_claimed(profile, requirement, under_pytest):
    words = (f"--llm-profile={profile}", f"--llm-only={requirement}")
    ended = under_pytest(*words, candidate="reference", own=profile == "release")
    assert ended.code == 2, "one requirement of a profile makes nothing conformant"
    assert {*ended.cases().values()} == {"PASS"}


@pytest.mark.parametrize("name", ["schemas", "reports", "tests", "reference_model", "conformance"])
def test_folders_of_the_users_shadow_nothing(name, under_pytest, foreign):
    (foreign.folder / name).mkdir()
    (foreign.folder / name / "note.txt").write_text("mine", encoding="utf-8")
    ended = under_pytest("--llm-only=REPORT-001")
    assert ended.cases() == {
        "test_the_candidate_describes_itself_as_the_report_needs_it": "PASS"
    }, ended.out


def test_a_package_called_conformance_does_not_read_as_conformant(under_pytest, foreign):
    (foreign.folder / "conformance").mkdir()
    (foreign.folder / "conformance" / "__init__.py").touch()
    ended = under_pytest()
    assert ended.code != 0
    assert not ended.has_report


def test_a_package_called_conformance_does_not_reach_a_hermetic_run(
    llm, tmp_path, tiny, fulfilled, candidates
):
    for name in ("conformance", "reference_model", "schemas"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("1 / 0", encoding="utf-8")
    (tmp_path / "conftest.py").write_text("1 / 0", encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -k nothing", encoding="utf-8")
    env = {"PYTEST_ADDOPTS": "-x -k nothing", "PYTEST_PLUGINS": "nothing_of_this_name", "CI": "1"}
    env["PYTHONOPTIMIZE"] = "1"
    env["PYTHONSAFEPATH"] = (
        "1"  # for the process that starts it; `llm-conformance` has no such path
    )
    ended = llm("run", "--candidate", f"{candidates}:honest", "--model", tiny, env=env)
    assert ended.code == 0, ended.err
    assert ended.report["run"]["hermetic"]
    assert ended.cases() == fulfilled
    assert not (tmp_path / ".hypothesis").exists()


@pytest.mark.parametrize(
    "settings",
    ["python_files = spec_*.py", "python_functions = it_*", "addopts = -k identity"],
)
def test_settings_that_hide_checks_leave_an_incomplete_report(
    settings, under_pytest, foreign, incomplete
):
    (foreign.folder / "pytest.ini").write_text(f"[pytest]\n{settings}\n", encoding="utf-8")
    ended = incomplete(under_pytest())
    assert set(ended.cases().values()) == {"NOT_RUN"}


@pytest.mark.parametrize(
    "words",
    [["-k", "later_tokens"], ["--collect-only"], ["--setup-plan"], ["-p", "no:python"]],
)
def test_pytest_options_that_leave_out_checks_leave_an_incomplete_report(
    words, under_pytest, incomplete
):
    assert "NOT_RUN" in incomplete(under_pytest(*words)).cases().values()


@pytest.mark.parametrize("way", ["one", "all but one"])
def test_choosing_by_node_id_leaves_an_incomplete_report(
    way, under_pytest, foreign, incomplete, owed
):
    chosen = os.path.relpath(hermetic.arguments(Selection("x"))[-1], foreign.folder)
    chosen += "/test_batch.py"
    if way == "one":
        ended = incomplete(under_pytest(target=chosen))
    else:
        ended = incomplete(under_pytest("--deselect", "test_batch.py"))
    verdicts = list(ended.cases().values())
    batches = [check for check in catalogue.all_checks() if check.module == "test_batch"]
    cases = owed & {case for check in batches for case in check.cases(["tiny"])}
    assert verdicts.count("PASS" if way == "one" else "NOT_RUN") == len(cases) > 1


def test_environment_variables_that_deselect_leave_an_incomplete_report(under_pytest, incomplete):
    ended = incomplete(under_pytest(env={"PYTEST_ADDOPTS": "-k later_tokens"}))
    assert list(ended.cases().values()).count("PASS") == 1


@pytest.mark.parametrize("words", [["-x"], ["--maxfail=1"]])
def test_a_run_that_stops_at_the_first_failure_is_nonconformant(words, under_pytest, candidates):
    ended = under_pytest(*words, candidate=f"{candidates}:wrong")
    assert ended.code == 1
    assert ended.report["outcome"] == "nonconformant"
    assert "NOT_RUN" in ended.cases().values()


def test_a_users_failing_test_beside_ours_is_not_hidden(under_pytest, foreign):
    (foreign.folder / "test_mine.py").write_text("def test_it(): assert 0", encoding="utf-8")
    ended = under_pytest("test_mine.py")
    assert ended.report["outcome"] == "conformant"
    assert ended.code == 1


@pytest.mark.parametrize(
    ("name", "collection", "call"),
    [
        ("deselects", "items.pop()", "return (yield)"),
        ("replaces", "items[0].obj = lambda **_: None", "return (yield)"),
        ("skips", "items[0].add_marker(pytest.mark.skip)", "return (yield)"),
        ("xfails", "items[0].add_marker(pytest.mark.xfail)", "pytest.xfail('no')\n    yield"),
    ],
)
def test_a_plugin_that_bends_the_checks_leaves_no_conformant_report(
    name, collection, call, under_pytest, foreign, incomplete
):
    text = HOSTILE.format(collection=collection, call=call)
    (foreign.folder / f"{name}.py").write_text(text, encoding="utf-8")
    ended = under_pytest(env={"PYTEST_PLUGINS": name, "PYTHONPATH": str(foreign.folder)})
    incomplete(ended)
    assert set(ended.cases().values()) & {"NOT_RUN", "ERROR"}


@pytest.mark.parametrize("when", ["imported", "collecting"])
def test_a_conftest_that_patches_the_judge_is_not_believed(when, under_pytest, foreign, candidates):
    patch = "judge.noise.settle = judge.related = lambda *_, **__: None"
    hook = "def pytest_collection_modifyitems(items):\n    " if when == "collecting" else ""
    text = (
        f"import conformance.judge.noise as noise\nfrom conformance import judge\n{hook}{patch}\n"
    )
    (foreign.folder / "conftest.py").write_text(text, encoding="utf-8")
    ended = under_pytest(candidate=f"{candidates}:wrong")
    assert ended.report["outcome"] != "conformant"
    assert ended.code in (1, 2)
    verdicts = set(ended.cases().values())
    assert "ERROR" in verdicts
    assert "PASS" not in verdicts
    assert "conformance.judge.related" in ended.out


def test_a_plugin_that_swallows_what_a_check_raises_hides_no_failure(
    under_pytest, foreign, candidates
):
    call = "try:\n        yield\n    except BaseException:\n        pass"
    text = HOSTILE.format(collection="pass", call=call)
    (foreign.folder / "conftest.py").write_text(text, encoding="utf-8")
    ended = under_pytest(candidate=f"{candidates}:wrong")
    assert ended.code == 1
    assert ended.report["outcome"] == "nonconformant"


def test_a_plugin_that_runs_cases_again_does_not_improve_them(under_pytest, foreign, candidates):
    again = (
        "from _pytest.runner import runtestprotocol\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    for _ in range(2):\n"
        "        runtestprotocol(item, nextitem=nextitem)\n"
        "    return True\n"
    )
    (foreign.folder / "conftest.py").write_text(again, encoding="utf-8")
    ended = under_pytest(candidate=f"{candidates}:wrong-once")
    assert ended.code == 1
    assert ended.report["outcome"] == "nonconformant"


def test_a_conftest_cannot_make_checks_draw_less(under_pytest, foreign, conformant):
    few = (
        "import hypothesis\n"
        "hypothesis.settings.register_profile('few', max_examples=1)\n"
        "hypothesis.settings.load_profile('few')\n"
    )
    (foreign.folder / "conftest.py").write_text(few, encoding="utf-8")
    ended = conformant(under_pytest("--llm-seed=7"))
    with_few = ended.case("test_later_tokens")["measurements"][0]["count"]
    (foreign.folder / "conftest.py").unlink()
    assert conformant(under_pytest("--llm-seed=7")).case("test_later_tokens")["measurements"][0][
        "count"
    ] == pytest.approx(with_few, rel=0.5)


def test_strict_warnings_and_reordering_of_the_users_change_nothing(
    under_pytest, foreign, conformant
):
    ini = "[pytest]\nfilterwarnings = error\nxfail_strict = true\naddopts = --strict-markers\n"
    (foreign.folder / "pytest.ini").write_text(ini, encoding="utf-8")
    reverse = "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
    (foreign.folder / "conftest.py").write_text(reverse, encoding="utf-8")
    conformant(under_pytest())


def test_a_fixture_of_the_users_with_our_name_is_told_apart(under_pytest, foreign):
    text = "import pytest\n@pytest.fixture(scope='session')\ndef model(): return 1\n"
    (foreign.folder / "conftest.py").write_text(text, encoding="utf-8")
    ended = under_pytest()
    assert ended.code != 0
    assert "fixture 'model' of the conformance checks is replaced" in ended.out
    assert ended.report["outcome"] == "incomplete"


def test_options_named_like_ours_belong_to_whom_they_belong(under_pytest, foreign, conformant):
    text = "def pytest_addoption(parser):\n" + "".join(
        f"    parser.addoption('--{name}')\n" for name in ("model", "seed", "candidate")
    )
    (foreign.folder / "like_ours.py").write_text(text, encoding="utf-8")
    env = {"PYTEST_PLUGINS": "like_ours", "PYTHONPATH": str(foreign.folder)}
    conformant(under_pytest("--model=x", "--seed=y", env=env))


def test_a_profiler_around_every_check_changes_nothing(under_pytest, foreign, conformant):
    pytest.importorskip("pytest_profiling")  # of the extra `dev`
    conformant(under_pytest("--profile"))
    profiles = [file.name for file in (foreign.folder / "prof").iterdir()]
    assert "combined.prof" in profiles
    assert len(profiles) > 1


def test_our_own_plugin_cannot_be_switched_off_silently(under_pytest):
    ended = under_pytest("-p", "no:llm-conformance-session")
    assert ended.code == 4
    assert "leave it out" in ended.out
    assert not ended.has_report


@pytest.mark.parametrize("added", [["-p", "evil"], ["-k", "later"], ["--reruns=3"]])
def test_only_the_one_command_is_hermetic(added, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)
    monkeypatch.setattr(hermetic, "sys", SimpleNamespace(flags=SimpleNamespace(safe_path=True)))
    selection = Selection("reference", seed=1)
    sealed = hermetic.arguments(selection)
    assert hermetic.is_sealed(sealed, selection)
    assert not hermetic.is_sealed([*sealed, *added], selection)
    monkeypatch.setenv("PYTEST_PLUGINS", "evil")
    assert not hermetic.is_sealed(sealed, selection)
