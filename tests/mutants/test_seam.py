"""The seam that puts one fault into an honest candidate, and takes it out again."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import types

import numpy as np
import pytest

from conformance import candidate as candidates
from conformance import matrix, models, mutants, spec
from conformance.adapters import _replacing as adapter
from conformance.errors import CandidateUnavailable
from conformance.oracles import tokenizer_file
from conformance.records import OperatorCall
from reference_model import generation, tokenizer, word_level
from reference_model.encoder import model as encoder
from reference_model.encoder_decoder import model as encoder_decoder
from reference_model.encoder_decoder.transformer import model as transformer
from reference_model.zoo import MODELS

KNOWN = mutants.all_mutants()
VALUES = {
    "config",
    "graph",
    "info",
    "load",
    "logits",
    "encode_tokens",
    "decode_tokens",
    "generate",
    "process",
    "draw",
    "packed_logits",
    *mutants.SESSION,
    *mutants.TARGET,
    *mutants.TEXT,
}
IDS = np.array([[5, 6, 7, 8]])
INPUTS = (IDS, np.ones_like(IDS), np.arange(4)[None])


def _attributes():
    """Return everything in the decoder's modules that a mutant can replace, by name."""
    parts = [importlib.import_module(f"reference_model.{name}") for name in adapter.DECODER]
    found = {key: member for part in reversed(parts) for key, member in vars(part).items()}
    found |= {f"{adapter.GENERATION}.{key}": member for key, member in vars(generation).items()}
    found |= {f"{adapter.ENCODER}.{key}": member for key, member in vars(encoder).items()}
    found |= {
        f"{adapter.ENCODER_DECODER}.{key}": member for key, member in vars(encoder_decoder).items()
    }
    found |= {f"{adapter.TRANSFORMER}.{key}": member for key, member in vars(transformer).items()}
    found |= {f"{adapter.TOKENIZER}.{key}": member for key, member in vars(tokenizer).items()}
    found |= {f"{adapter.WORD_LEVEL}.{key}": member for key, member in vars(word_level).items()}
    for name, value in list(found.items()):
        if isinstance(value, type):
            found |= {f"{name}.{key}": member for key, member in vars(value).items()}
    return found


def _opened(name):
    return candidates.open_candidate(f"mutant:{name}")


def _logits(name):
    with _opened(name) as opened:
        return opened.load(models.suite_package("llama-gqa")).logits(*INPUTS)


@pytest.mark.parametrize("mutant", KNOWN.values(), ids=KNOWN)
def test_a_mutant_replaces_something_that_there_is(mutant):
    kind = mutant.replaces.partition(" ")[0]
    assert kind == "operator" or kind in VALUES or mutant.replaces in _attributes()


@pytest.mark.parametrize("mutant", KNOWN.values(), ids=KNOWN)
def test_a_mutant_takes_what_the_function_takes_that_it_replaces(mutant):
    """One that does not would raise, and be killed for that and not for its fault."""
    replaced = _attributes().get(mutant.replaces)
    if isinstance(replaced, types.FunctionType):
        every = inspect.signature(replaced).parameters.values()
        needed = [one for one in every if one.default is one.empty]
        given = [one.name for one in needed if one.kind is not one.KEYWORD_ONLY]
        named = {one.name: None for one in needed if one.kind is one.KEYWORD_ONLY}
        if mutant.replaces == "build_decoder":
            named["dtype"] = None  # as it is called
        assert inspect.signature(mutant.fault).bind(replaced, *given, **named)


@pytest.mark.parametrize("mutant", KNOWN.values(), ids=KNOWN)
def test_a_mutant_tells_its_fault_in_one_sentence(mutant):
    assert mutant.summary.endswith(".")
    assert "\n\n" not in mutant.summary
    assert ". " not in mutant.summary


@pytest.mark.parametrize("mutant", KNOWN.values(), ids=KNOWN)
def test_a_mutant_names_where_its_bug_was_seen(mutant):
    owner, slash, _ = mutant.bug.partition("/")
    assert mutant.bug == "generic" or (owner and slash)


@pytest.mark.parametrize("name", [m.name for m in KNOWN.values() if m.replaces == "config"])
def test_a_fault_of_the_configuration_raises_on_no_model(name):
    """A model without what it changes is left alone: it would be killed for raising."""
    for model in MODELS.values():
        KNOWN[name].fault(model.config)


def test_names_are_unique_and_there_are_enough_mutants():
    faults = [m.fault for m in KNOWN.values()]
    assert len(set(faults)) == len(KNOWN)
    assert len([m for m in KNOWN.values() if m.kills]) >= 70
    assert len([m for m in KNOWN.values() if m.replaces == "graph" and m.kills]) >= 8


def test_exactly_one_attribute_is_replaced_and_comes_back():
    mutant = KNOWN["attention-scale-missing"]
    before = _attributes()
    with adapter.replaced_in_model(mutant):
        during = _attributes()
    assert [name for name in before if during[name] is not before[name]] == ["attend"]
    assert _attributes() == before


def test_the_module_is_restored_after_a_fault_that_raises():
    before = _attributes()
    with pytest.raises(ZeroDivisionError), adapter.replaced_in_model(KNOWN["rope-missing"]):
        raise ZeroDivisionError
    assert _attributes() == before


def test_a_mutant_without_a_target_is_the_honest_candidate():
    with candidates.open_candidate("pytorch") as honest:
        expected = honest.load(models.suite_package("llama-gqa")).logits(*INPUTS)
    assert np.array_equal(_logits(""), expected)


@pytest.mark.parametrize("name", ["rope-missing", "rope-base-10001", "final-norm-missing"])
def test_a_fault_of_the_decoder_changes_its_logits_and_ends_with_the_call(name):
    assert not np.array_equal(_logits(name), _logits(""))
    assert np.array_equal(_logits(""), _logits(""))


def test_a_fault_of_the_encoder_changes_its_answers_and_ends_with_the_call():
    def hidden(name):
        with _opened(name) as opened:
            loaded = opened.load(models.suite_package("bert-two-types"))
            answer = loaded.encode_tokens(IDS, np.ones_like(IDS), np.zeros_like(IDS))
            return answer["last_hidden_state"]

    honest, faulty = hidden(""), hidden("causal-mask-left-on")
    assert np.abs(faulty - honest).max() > 0.1
    assert np.array_equal(hidden(""), honest)


def test_a_fault_of_the_encoder_decoder_changes_its_answers_and_ends_with_the_call():
    def logits(name):
        with _opened(name) as opened:
            loaded = opened.load(models.suite_package("t5-tied-relu"))
            whole = loaded.decode_tokens(IDS, np.ones_like(IDS), IDS)["logits"]
            session = loaded.start_target(IDS, np.ones_like(IDS))
            return whole, np.concatenate(
                [session.append_target(one) for one in IDS.T[..., None]], 1
            )

    honest = logits("")
    for found, exact in zip(logits("t5-norm-subtracts-the-mean"), honest, strict=True):
        assert np.abs(found - exact).max() > 0.1
    assert all(map(np.array_equal, logits(""), honest))


@pytest.mark.parametrize(
    ("name", "file"), [("marks-part-words", "words"), ("characters-are-bytes", "characters")]
)
def test_a_fault_of_words_is_in_a_tokenizer_of_their_kind_and_ends_with_the_call(name, file):
    asked = {"add_special": True, "parse_special": False}
    with _opened(name) as faulty:
        claims = faulty.info.claims
        found = list(faulty.encode(["e\u0301\xe9"], **asked)[0].ids)
    assert claims.tokenizer.file == str(word_level.FILES[file])
    assert "lossless_text" not in claims.capabilities
    honest = word_level.own(file).encode("e\u0301\xe9", **asked)
    assert found != honest
    assert honest == tokenizer_file.read(claims.tokenizer.file).ids("e\u0301\xe9", **asked)


def test_a_fault_in_one_operator_leaves_the_others_alone():
    x = np.array([[1.0, 2.0]], dtype=np.float32)
    softmax = OperatorCall("Softmax", 13, {"input": x}, {"axis": -1}, ("output",))
    swish = OperatorCall("Swish", 24, {"X": x}, {"alpha": 1.0})
    with _opened("") as honest, _opened("silu-as-quick-gelu") as faulty:
        assert np.array_equal(
            honest.operator(softmax)["output"], faulty.operator(softmax)["output"]
        )
        assert not np.array_equal(honest.operator(swish)["Y"], faulty.operator(swish)["Y"])


def test_a_fault_of_the_graph_leaves_the_built_file_alone():
    package = models.suite_package("llama-gqa")
    before = package.file("model.onnx").read_bytes()
    faulty = _logits("graph-final-norm-without-weight")
    assert package.file("model.onnx").read_bytes() == before
    assert np.abs(faulty - _logits("")).max() > 1


def test_a_mutant_of_the_graph_is_float32_only():
    opening = candidates.open_candidate("mutant:graph-epsilon-changed?dtype=bfloat16")
    with pytest.raises(CandidateUnavailable, match="float32"), opening:
        pass


def test_an_exported_fault_answers_in_onnx_runtime_what_it_answers_in_torch():
    exported, faulty = _logits("gate-by-gelu-of-tanh?export=onnx"), _logits("gate-by-gelu-of-tanh")
    assert np.abs(exported - faulty).max() < 1e-3 < np.abs(faulty - _logits("")).max()


@pytest.mark.parametrize("name", ["scale-missing", "crop-ignored"])
def test_a_fault_that_no_graph_holds_is_not_exported(name):
    with pytest.raises(CandidateUnavailable, match="no exported graph holds"):
        _logits(f"{name}?export=onnx")


def test_exported_mutants_cover_the_topics_of_the_decoder():
    chosen = [KNOWN[name] for name in matrix.EXPORTED]
    assert all(adapter.is_in_decoder(mutant) for mutant in chosen)
    assert len({mutant.topic for mutant in chosen}) == len(chosen)


def test_an_unknown_mutant_is_refused_with_a_suggestion():
    with pytest.raises(CandidateUnavailable, match="rope-missing"), _opened("rope-mising"):
        pass


@pytest.mark.parametrize("reasons", [{}, {"kills": ("ATTN-001",), "equivalent": "no"}])
def test_a_mutant_is_killed_or_equivalent_or_known_to_survive(reasons):
    def fault():
        """Nothing is wrong."""

    with pytest.raises(AssertionError, match="one of them"):
        mutants.mutant("config", bug="generic", **reasons)(fault)


def test_the_list_of_mutants_needs_neither_torch_nor_onnx():
    code = (
        "import sys; from conformance import mutants; mutants.all_mutants();"
        "print([m for m in ('torch', 'onnx', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


EQUIVALENT = [name for name, mutant in mutants.all_mutants().items() if mutant.equivalent]


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("name", EQUIVALENT)
def test_what_is_no_fault_is_asked_somewhere_by_all_that_reaches_it(name, declared):
    standard, mutant = spec.load(), mutants.all_mutants()[name]
    left_out = matrix._Corpora(standard).left_out(mutant, declared=declared)
    wanted = matrix.reached(mutant, list(standard.requirements.values()))
    models_of = {one.id: spec.models_of(standard, one.id) for one in wanted}
    assert any(not there or set(there) - {*left_out} for there in models_of.values())
    if "encoder" in mutant.replaces:
        assert all(set(there) - {*left_out} for there in models_of.values())
