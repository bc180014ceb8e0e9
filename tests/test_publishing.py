"""The ledger: every entry is what its report says, its index is current, no machine is told of."""

from __future__ import annotations

import copy
import hashlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import formats, schema, spec
from conformance.errors import FormatError, UsageError
from conformance.publishing import __main__ as publishing
from conformance.publishing import index
from conformance.publishing.redaction import leaks, redacted
from conformance.records import Verdict
from conformance.report import json as record

ROOT = Path(__file__).parents[1]
LEDGER = ROOT / "reports"
EXAMPLES = ROOT / "schemas" / "examples"
VERSIONS = [folder for folder in sorted(LEDGER.iterdir()) if (folder / index.FILE).is_file()]
ENTRIES = [file for folder in VERSIONS for file in sorted(folder.glob(f"*/{index.ENTRY}"))]
EXAMPLE = json.loads((EXAMPLES / "report" / "valid" / "conformant.json").read_text())


def named(file):
    return file.parent.name


@pytest.mark.parametrize("file", ENTRIES, ids=named)
def test_a_published_entry_is_what_its_reports_say(file):
    entry = schema.load(file)
    formats.check("product", entry)
    assert entry["product"] == file.parent.name
    for row in (row for row in entry["profiles"] if "report" in row):
        data = (file.parent / row["report"]).read_bytes()
        report = record.parse(data)
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert (report.outcome, report.profile) == (row["outcome"], row["profile"])
        verdicts = [r.verdict for r in report.requirements]
        assert verdicts.count(Verdict.PASS) == row["passed"]
        assert report.run.hermetic
        assert not report.run.partial
        assert leaks(data.decode()) == []


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_the_index_is_current(folder):
    told = (folder / index.FILE).read_text(encoding="utf-8")
    assert told == index.render(folder), "run `make ledger`, or write the index anew"


def test_the_products_are_named_once_and_their_profiles_exist():
    listed = schema.load(LEDGER / publishing.PRODUCTS)
    names = [product["name"] for product in listed["products"]]
    assert len(set(names)) == len(names)
    asked = {*listed["profiles"]}.union(*(one.get("profiles", ()) for one in listed["products"]))
    assert asked <= set(spec.load().profiles)


def test_paths_and_the_machines_name_are_taken_out_and_words_stay():
    host = socket.gethostname()
    told = {
        "message": f"{Path.cwd()}/x.py, {sys.prefix}/lib/y.py, {Path.home()}/.cache on {host}",
        "kept": ["test_a/llama-gqa/plain", "https://example.org/home/page", "1/sqrt(d)", "fp32"],
        "elsewhere": "read '/opt/vendor/secret/lib.so'",
    }
    found = redacted(told)
    assert found["kept"] == told["kept"]
    assert found["elsewhere"] == "read '<path>/lib.so'"
    assert "<project>/x.py" in found["message"]
    assert leaks(json.dumps(found)) == []
    assert leaks(json.dumps(told))


PRODUCT = {"name": "acme-fp32", "title": "Acme", "candidate": "acme:npu0"}


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger of one product, whose run is played by the function that the test sets."""
    folder = tmp_path / "reports"
    folder.mkdir()
    listed = {"seed": 7, "profiles": ["decoder"], "products": [PRODUCT]}
    (folder / publishing.PRODUCTS).write_text(json.dumps(listed))
    monkeypatch.chdir(tmp_path)

    def ends(code=0, stderr="", *, further=False, **changes):
        def run(command, **_):
            ends.commands.append(command)
            out = Path(command[-1].removeprefix("--out="))
            out.mkdir(parents=True, exist_ok=True)
            (out / "report.json").write_text(json.dumps({**copy.deepcopy(EXAMPLE), **changes}))
            return subprocess.CompletedProcess(command, code, "", stderr)

        monkeypatch.setattr(publishing.subprocess, "run", run)
        publishing.publish(folder, [], further=further)
        return folder / spec.VERSION

    ends.commands = []
    return ends


def test_a_product_is_published_with_its_outcome_and_the_index_leads_to_it(ledger):
    folder = ledger()
    (entry,) = index.entries(folder)
    (row,) = entry["profiles"]
    assert (row["profile"], row["outcome"]) == ("decoder", "conformant")
    assert "[conformant](acme-fp32/decoder/report.html)" in (folder / "README.md").read_text()
    assert (folder / "acme-fp32" / "decoder" / "report.html").is_file()


def test_a_product_that_is_not_here_is_not_evaluated_and_an_older_report_goes(ledger):
    ledger()
    folder = ledger(4, "error: target 'npu0': there is no such device\n")
    told = (folder / "README.md").read_text()
    assert "not evaluated: target 'npu0': there is no such device" in told
    assert "conformant" not in told
    assert not (folder / "acme-fp32" / "decoder").exists()


def test_a_run_that_failed_is_published_as_it_ended(ledger):
    run = {**EXAMPLE["run"], "argv": [f"--out={Path.home()}/results"]}
    folder = ledger(1, run=run)
    assert "<home>" in (folder / "acme-fp32" / "decoder" / "report.json").read_text()


def test_the_index_names_some_of_many_failures_and_counts_the_others(ledger):
    folder = ledger()
    file = folder / "acme-fp32" / index.ENTRY
    entry = json.loads(file.read_text())
    entry["profiles"][0]["failed"] = [f"ATTN-{n:03d}" for n in range(1, 16)]
    file.write_text(json.dumps(entry))
    assert "ATTN-012 and 3 more" in index.render(folder)


@pytest.fixture
def three_seeds(ledger, tmp_path):
    """The same ledger, with two further seeds."""
    file = tmp_path / "reports" / publishing.PRODUCTS
    file.write_text(json.dumps({**json.loads(file.read_text()), "further_seeds": [8, 9]}))
    return ledger


def test_further_seeds_are_run_and_the_index_says_that_they_found_the_same(three_seeds):
    folder = three_seeds()
    (row,) = index.entries(folder)[0]["profiles"]
    assert [one["seed"] for one in row["further"]] == [8, 9]
    seeds = [word for command in three_seeds.commands for word in command if "--seed" in word]
    assert seeds == ["--seed=7", "--seed=8", "--seed=9"]
    assert "; the same with 2 further seeds" in (folder / "README.md").read_text()


def test_a_further_seed_that_fails_is_told_beside_the_published_report(three_seeds):
    folder = three_seeds()
    report = folder / "acme-fp32" / "decoder" / "report.json"
    published = report.read_bytes()
    failing = json.loads((EXAMPLES / "report" / "valid" / "nonconformant.json").read_text())
    three_seeds(1, further=True, **failing)
    (row,) = index.entries(folder)[0]["profiles"]
    (failed,) = {tuple(one["failed"]) for one in row["further"]}
    assert failed
    assert report.read_bytes() == published
    told = (folder / "README.md").read_text()
    assert f"; with seed 9 nonconformant, failed: {', '.join(failed)}" in told
    assert "further seeds" not in told


def test_further_seeds_of_a_product_that_runs_no_more_end_with_the_reason(three_seeds):
    three_seeds()
    with pytest.raises(UsageError, match="does not with 8: there is no such device"):
        three_seeds(4, "error: there is no such device\n", further=True)


def test_a_product_that_is_not_listed_is_refused(ledger, tmp_path):
    ledger()
    with pytest.raises(UsageError, match="there is no product 'acme'"):
        publishing.publish(tmp_path / "reports", ["acme"])


def test_an_entry_that_follows_no_schema_is_no_entry(ledger):
    folder = ledger()
    (folder / "acme-fp32" / index.ENTRY).write_text("{}")
    with pytest.raises(FormatError):
        index.render(folder)


def test_two_products_stand_on_a_page_of_both(ledger, tmp_path):
    listed = {"seed": 7, "profiles": ["decoder"]}
    listed["products"] = [PRODUCT, {**PRODUCT, "name": "beta-fp32"}]
    (tmp_path / "reports" / publishing.PRODUCTS).write_text(json.dumps(listed))
    folder = ledger()
    assert "2 candidates side by side" in (folder / "decoder.html").read_text()
    assert "[decoder.html](decoder.html)" in (folder / "README.md").read_text()


def test_a_pair_is_run_on_its_own_profile_and_the_index_names_both(ledger, tmp_path):
    pair = {**PRODUCT, "against": "pytorch:cpu", "profiles": ["equivalence"]}
    listed = {"seed": 7, "profiles": ["decoder"], "products": [pair]}
    (tmp_path / "reports" / publishing.PRODUCTS).write_text(json.dumps(listed))
    folder = ledger(profile="equivalence")
    assert "--against=pytorch:cpu" in ledger.commands[-1]
    (entry,) = index.entries(folder)
    assert (entry["against"], entry["profiles"][0]["profile"]) == ("pytorch:cpu", "equivalence")
    assert "`acme:npu0` against `pytorch:cpu`" in (folder / "README.md").read_text()
