"""The cache of packages, builds and noise units: what is damaged is made again at once."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from types import SimpleNamespace

import onnx
import pytest

from conformance import models, spec
from conformance.errors import BuildError, PackageError, UsageError
from conformance.oracles import ensemble
from conformance.oracles.corpus import CORPORA
from conformance.oracles.matched_filter import Interval
from conformance.records import NoiseUnit

NAME = "llama-mqa-tied"
CONTRACT = spec.load().contracts["fp32"]
UNIT = NoiseUnit(rms=1e-7, max=1e-6, spread=0.1, members=9, positions=20, contract="fp32")
NOISE = ensemble.Noise(
    unit=UNIT,
    taps={"layer.0": UNIT},
    divergence=1e-12,
    largest_divergence=1e-11,
    loss=1e-7,
    gain=Interval(-1e-8, 1e-8),
    scale_N=(1e-6,) * 20,
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(models.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def damaged(folder):
    """Change a weight, and leave beside it what a candidate would take for supplied."""
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    (folder / "model.onnx").write_bytes(b"another model")
    (folder / "folder").mkdir()


def test_a_damaged_package_is_made_again(cache):
    whole = models.suite_package(NAME)
    damaged(whole.path)
    again = models.suite_package(NAME)
    assert again == whole
    assert sorted(file.name for file in again.path.iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    assert [file.name for file in (cache / "packages").iterdir()] == [again.path.name]


def test_a_file_that_was_put_into_a_package_is_no_part_of_it(cache):
    folder = models.suite_package(NAME).path
    (folder / "model.onnx").write_bytes(b"another model")
    assert cache in folder.parents
    models.suite_package(NAME)
    assert not (folder / "model.onnx").exists()


def test_a_package_can_be_read_at_every_moment_of_its_mending(cache):
    folder = models.suite_package(NAME).path
    assert cache in folder.parents
    missed, over = [], threading.Event()

    def read():
        while not over.is_set():
            try:
                (folder / "config.json").read_bytes()
                (folder / "model.safetensors").read_bytes()
            except OSError as error:
                missed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3):
        damaged(folder)
        models.suite_package(NAME)
    over.set()
    reader.join()
    assert missed == []


def test_a_cache_that_cannot_be_written_is_told_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(models.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match=rf"file/cache cannot be.*{models.CACHE_VARIABLE}"):
        models.suite_package(NAME)


def graph(kind="Identity", **metadata):
    """Return the smallest graph, with one node."""
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [2]) for name in "xy")
    made = onnx.helper.make_graph([onnx.helper.make_node(kind, ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 20)])
    onnx.helper.set_model_props(model, metadata)
    return model


def test_what_the_oracle_does_not_compute_is_told_with_the_models_file():
    package = models.suite_package(NAME)
    other = dataclasses.replace(package, config={**package.config, "hidden_act": "gelu"})
    with pytest.raises(PackageError, match=f"^{package.path}/config.json: hidden_act is 'gelu'"):
        models.oracle(other, CONTRACT)


@pytest.fixture
def exporter(monkeypatch):
    """Stand in for the exporter, which takes seconds; counts its calls."""
    calls = []

    def write_onnx(_, file, build, metadata):
        calls.append(build)
        onnx.save(graph(**metadata), file)

    export = SimpleNamespace(write_onnx=write_onnx)
    monkeypatch.setitem(sys.modules, "reference_model.export", export)
    monkeypatch.setattr("reference_model.export", export, raising=False)
    return calls


def test_a_build_is_made_once_and_again_when_it_was_changed(cache, exporter):
    package = models.suite_package(NAME)
    built = package.file("model.onnx")
    assert cache in built.parents
    assert package.file("model.onnx") == built
    assert len(exporter) == 1
    built.write_bytes(b"an optimised graph")
    onnx.checker.check_model(package.file("model.onnx"))
    built.unlink()
    onnx.checker.check_model(package.file("model.onnx"))
    assert len(exporter) == 3


def test_builds_of_one_package_are_kept_apart(cache, exporter):
    package = models.suite_package(NAME)
    for name in ("model.onnx", "model_opset24_fp16.onnx", "model_fp16.onnx") * 2:
        assert package.file(name).name == name
    assert [str(build) for build in exporter] == [
        "opset 20, float32",
        "opset 24, float16",
        "opset 20, float16",
    ]
    assert len(list((cache / "builds").glob("*.sha256"))) == 3


@pytest.mark.usefixtures("cache", "exporter")
def test_a_file_that_is_no_build_is_refused_with_the_nearest_one():
    with pytest.raises(PackageError, match=r"Did you mean 'model_opset24_fp16\.onnx'"):
        models.suite_package(NAME).file("model_opset24_fp61.onnx")


def test_a_build_that_cannot_be_made_is_not_the_candidates_fault(cache, exporter, monkeypatch):
    package = models.suite_package(NAME)
    assert cache
    assert exporter == []
    monkeypatch.setattr(
        sys.modules["reference_model.export"], "write_onnx", lambda *_, **__: 1 // 0
    )
    with pytest.raises(BuildError, match=r"could not make model\.onnx .*ZeroDivisionError"):
        package.file("model.onnx")


@pytest.mark.usefixtures("cache", "exporter")
def test_a_build_says_what_it_was_made_from_and_by_what():
    package = models.suite_package(NAME)
    read = onnx.load(package.file("model.onnx"))
    told = {entry.key: entry.value for entry in read.metadata_props}
    assert set(told) == {"package", "exporter", "build"}
    assert told["package"] == package.digest
    assert told["build"] == "opset 20, float32"
    assert "-torch-" in told["exporter"]


@pytest.mark.usefixtures("exporter")
def test_a_graph_that_is_not_valid_is_not_kept(cache, monkeypatch):
    def write_onnx(_, file, __, metadata):
        onnx.save(graph(kind="NoSuchOperator", **metadata), file)

    monkeypatch.setattr(sys.modules["reference_model.export"], "write_onnx", write_onnx)
    package = models.suite_package(NAME)
    with pytest.raises(BuildError, match="NoSuchOperator"):
        package.file("model.onnx")
    assert list((cache / "builds").iterdir()) == []


@pytest.mark.parametrize(
    "edit",
    [
        {"unit": {**dataclasses.asdict(UNIT), "max": float("inf")}},
        {"unit": {**dataclasses.asdict(UNIT), "max": float("nan")}},
        {"taps": {"layer.0": {**dataclasses.asdict(UNIT), "rms": 0.0}}},
        {"unit": {**dataclasses.asdict(UNIT), "rms": -1.0}},
        {"unit": {**dataclasses.asdict(UNIT), "contract": "bf16"}},
        {"unit": {**dataclasses.asdict(UNIT), "members": 3, "unknown": 1}},
        {"scale_N": [1.0]},
        {"gain": 0.0},
        {"loss": -1.0},
        None,
    ],
    ids=str,
)
def test_kept_noise_that_cannot_be_right_is_measured_again(cache, monkeypatch, edit):
    package = models.suite_package(NAME)
    measured = []
    monkeypatch.setattr(ensemble, "noise", lambda *_, **__: measured.append(1) or NOISE)
    assert models.noise(package, CONTRACT) == NOISE
    assert models.noise(package, CONTRACT) == NOISE
    assert len(measured) == 1
    (file,) = (cache / "noise").iterdir()
    kept = json.loads(file.read_text(encoding="utf-8"))
    damaged = {**kept, **edit} if edit else None
    file.write_text(json.dumps(damaged) if edit else "{", encoding="utf-8")
    assert models.noise(package, CONTRACT) == NOISE
    assert len(measured) == 2


MEASURED = {
    "near": (5.5e-6, 6.6e-5),
    "long": (9.2e-6, 1.06e-4),
    "far": (1.08e-4, 2.0e-3),
    "text": (5.3e-6, 3.6e-5),
}
"""RMS and largest error of the honest ensemble of llama-gqa at fp32, on each corpus but the longest
one, which only the small model of long contexts is given: it takes minutes."""


def test_every_corpus_but_the_longest_was_measured():
    assert set(CORPORA) == {*MEASURED, "longest"}


@pytest.mark.parametrize("name", MEASURED)
def test_the_units_of_a_model_are_what_was_measured(cache, name):
    unit = models.noise(models.suite_package("llama-gqa"), CONTRACT, name).unit
    rms, largest = MEASURED[name]
    assert unit.rms == pytest.approx(rms, rel=0.2)
    assert unit.max == pytest.approx(largest, rel=0.3)
    assert list(cache.iterdir())


def test_noise_belongs_to_the_corpus_that_it_was_measured_on(cache, monkeypatch):
    package = models.suite_package(NAME)
    measured = []
    monkeypatch.setattr(
        ensemble, "noise", lambda _, corpus, *__, **___: measured.append(corpus) or NOISE
    )
    for name in CORPORA:
        models.noise(package, CONTRACT, name)
    assert len(measured) == len(list((cache / "noise").iterdir())) == len(CORPORA)
    assert len({corpus.position_ids_BT.tobytes() for corpus in measured}) == len(CORPORA)


def test_noise_belongs_to_the_contract_that_it_was_measured_under(cache, monkeypatch):
    package = models.suite_package(NAME)
    measured = []
    monkeypatch.setattr(ensemble, "noise", lambda *_, **__: measured.append(1) or NOISE)
    models.noise(package, CONTRACT)
    models.noise(package, dataclasses.replace(CONTRACT, accumulation="float16"))
    assert cache.is_dir()
    assert len(measured) == 2
