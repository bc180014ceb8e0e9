"""The strict loader, the choice of the error that is told, and canonical writing."""

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance import schema
from conformance.errors import FormatError, UsageError


def refused(data, **limits):
    with pytest.raises(FormatError) as caught:
        schema.parse(data, schema.Limits(**limits))
    return caught.value


@pytest.mark.parametrize(
    ("data", "code", "pointer"),
    [
        (b"\xef\xbb\xbf{}", "L0-BOM", ""),
        (b"\xff\xfe{\x00}\x00", "L0-NUL", ""),
        ("{}".encode("utf-16-be"), "L0-NUL", ""),
        (b'"\xed\xa0\x80"', "L0-UTF8", ""),
        (b'"\xff"', "L0-UTF8", ""),
        (b'"\xc0\xaf"', "L0-UTF8", ""),
        (b"", "L1-EMPTY", ""),
        (b" \r\n\t", "L1-EMPTY", ""),
        (b"{} {}", "L1-TRAILING-DATA", ""),
        (b"{}\xc2\xa0", "L1-TRAILING-DATA", ""),
        (b'{"a":[{"b":1,"b":1}]}', "L1-DUPLICATE-KEY", "/a/0"),
        (b'{"b":1,"\\u0062":2}', "L1-DUPLICATE-KEY", ""),
        (b'{"a~/":[0,NaN]}', "L1-NON-FINITE", "/a~0~1/1"),
        (b"[Infinity]", "L1-NON-FINITE", "/0"),
        (b"[-Infinity]", "L1-NON-FINITE", "/0"),
        (b"[1e400]", "L1-NUMBER-RANGE", "/0"),
        (b"[-1e400]", "L1-NUMBER-RANGE", "/0"),
        (b"[9007199254740992]", "L1-INTEGER-RANGE", "/0"),
        (b"[-9007199254740992]", "L1-INTEGER-RANGE", "/0"),
        (b"[" + b"9" * 10000 + b"]", "L1-INTEGER-RANGE", "/0"),
        (b'["\\ud800"]', "L1-LONE-SURROGATE", "/0"),
        (b'["\\udc00\\ud800"]', "L1-LONE-SURROGATE", "/0"),
        (b'{"\\ud800":1}', "L1-LONE-SURROGATE", ""),
        (b"[" * 65 + b"]" * 65, "L1-DEPTH", ""),
        (b"[" * 100_000, "L1-DEPTH", ""),
        (b'{"a":' * 100_000, "L1-DEPTH", ""),
        *(
            (data, "L1-SYNTAX", "")
            for data in (
                b"+1",
                b".5",
                b"[1,]",
                b'{"a":1,}',
                b"// a\n1",
                b"/* a */ 1",
                b"{'a':1}",
                b"{a:1}",
                b'"\t"',
                b'"\n"',
                b'"\\x41"',
                b'{"a":',
                b'"abc',
                b'"abc\\',
                b"]",
                b"[}",
                b"True",
                b"nan",
            )
        ),
    ],
)
def test_each_fault_has_its_code_and_place(data, code, pointer):
    error = refused(data)
    assert (error.code, error.pointer) == (code, pointer)


@pytest.mark.parametrize("data", [b"01", b"1.", b"0x10", b"[01]", b"[1.]", b"-"])
def test_malformed_number_is_refused(data):
    assert refused(data).code in {"L1-SYNTAX", "L1-TRAILING-DATA"}


@pytest.mark.parametrize(
    ("data", "limits", "code"),
    [
        (b"[1, 2]", {"size": 5}, "L0-SIZE"),
        (b"[[1]]", {"depth": 1}, "L1-DEPTH"),
        (b'{"a":1,"b":2}', {"keys": 1}, "L1-KEYS"),
    ],
)
def test_limit_is_kept(data, limits, code):
    assert refused(data, **limits).code == code


@pytest.mark.parametrize(
    ("data", "document"),
    [
        (b' {"a": [1, -0.5, true, null]} \n', {"a": [1, -0.5, True, None]}),
        (b"9007199254740991", 2**53 - 1),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"[[[[ \\" {{{{"', '[[[[ " {{{{'),
        (b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64)),
        ('"é e\u0301"'.encode(), "é e\u0301"),
    ],
)
def test_allowed_document_is_read(data, document):
    assert schema.parse(data) == document


def test_escaped_quotes_cost_linear_time():
    error = refused(b'"' + b'\\"' * 2_000_000)
    assert error.code == "L1-SYNTAX"


def test_many_duplicates_cost_linear_time():
    data = b"{" + b",".join(b'"%d":0' % i for i in range(200_000)) + b',"199999":0}'
    assert refused(data, keys=1_000_000).code == "L1-DUPLICATE-KEY"


@given(st.binary(max_size=40) | st.text('[]{}",:\\u0d8NaIe+-. 1\n', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(data):
    try:
        document = schema.parse(data)
    except FormatError as error:
        assert error.code.startswith(("L0-", "L1-"))  # noqa: PT017  # refusal is one of two answers
    else:
        assert document == json.loads(data)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-schema.MAX_INTEGER, schema.MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~é"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(documents)
def test_written_document_is_read_back_alike(document):
    data = schema.dump(document)
    assert schema.parse(data) == document
    assert schema.dump(schema.parse(data)) == data


def test_key_order_does_not_change_what_is_written():
    assert schema.dump({"a": 1, "b": [1, 2]}) == schema.dump({"b": (1, 2), "a": 1})
    assert schema.dump({"b": [1, 2], "a": {}}) == b'{\n  "a": {},\n  "b": [1, 2]\n}\n'


def test_non_finite_numbers_are_written_as_text_that_float_reads():
    data = schema.dump([math.nan, math.inf, -math.inf])
    assert data == b'["NaN", "Infinity", "-Infinity"]\n'
    assert list(map(str, map(float, schema.parse(data)))) == ["nan", "inf", "-inf"]


@pytest.mark.parametrize("document", ["\ud800", [2**53], {1: 2}])
def test_document_that_could_not_be_read_is_not_written(document):
    with pytest.raises(FormatError):
        schema.dump(document)


def test_value_that_is_no_json_is_not_written():
    with pytest.raises(TypeError, match="set"):
        schema.dump({"a": {1}})


def test_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*absent\.json"):
        schema.load(tmp_path / "absent.json")


def test_error_of_a_file_carries_its_name(tmp_path):
    (tmp_path / "a.json").write_bytes(b"{")
    with pytest.raises(FormatError, match=r"a\.json: .*line 1, column 2"):
        schema.load(tmp_path / "a.json")


def test_unknown_kind_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'tensor'"):
        schema.validate("tensr", {})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"capabilities": ["logits"]}, r"lacks 'precision' \[L2-REQUIRED\]"),
        (
            {"capabilities": [], "precison": "fp32", "precision": "x"},
            "at /precison: .*Did you mean",
        ),
        ({"capabilities": [1], "precision": "x"}, "/capabilities/0: is 1; allowed: string"),
        ([], r"is \[\]; allowed: object"),
    ],
)
def test_message_says_what_was_seen_and_allowed(document, message):
    with pytest.raises(FormatError, match=message):
        schema.validate("claims", document)


def test_what_a_document_is_comes_before_what_it_lacks():
    with pytest.raises(FormatError) as caught:
        schema.validate("hf-config", {"model_type": "mamba", "n_embd": 768})
    assert (caught.value.code, caught.value.pointer) == ("L2-ENUM", "/model_type")
    assert '"mamba"; allowed: "llama"' in caught.value.detail


def test_nan_in_memory_satisfies_no_schema():
    with pytest.raises(FormatError) as caught:
        schema.validate("common", {"real": math.nan})
    assert (caught.value.code, caught.value.pointer) == ("L1-NON-FINITE", "/real")


def test_integer_stays_strict_behind_references_to_whole_schemas():
    inputs = {"x": {"dtype": "U8", "shape": [1.0], "data": [1]}}
    document = {"schema": schema.schema_of("counterexample")["$id"], "requirement": "ATTN-001"}
    with pytest.raises(FormatError) as caught:
        schema.validate(
            "counterexample", {**document, "case": "c", "candidate": "d", "inputs": inputs}
        )
    assert caught.value.code == "L3-INTEGER-FORM"


def test_listing_kinds_imports_no_validator():
    code = "import sys; from conformance import schema; schema.kinds(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"jsonschema", "numpy", "referencing"} & set(done.stdout.split())
