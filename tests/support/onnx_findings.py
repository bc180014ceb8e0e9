"""What the audit of ONNX found, in sentences for the maintainers of onnx and of ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

_KERNEL = ("ONNX Runtime, kernel",)
_BODY = ("ONNX Runtime, body", "evaluator, body")
_EVALUATOR = ("evaluator",)
_NARROW = ("float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause, and the rows of the audit that it explains."""

    title: str
    sentence: str
    operator: str
    ways: tuple[str, ...]
    types: tuple[str, ...] = ("float32", "float16", "bfloat16", "float64")

    def covers(self, operator: str, _opset: int, dtype: str, way: str) -> bool:
        return operator == self.operator and way in self.ways and dtype in self.types


FINDINGS = (
    Finding(
        "onnx: Attention-23 has two meanings of a mask that is shorter than the keys",
        "The function body of Attention-23 adds the mask to the scores, so that a mask of one key "
        "is broadcast over all keys and any other short mask cannot be added; the evaluator "
        "continues it with minus infinity at opset 23 too, which the text says only from opset 24 "
        "on. The body and the text of 23 agree; the evaluator should refuse such a mask at opset "
        "23, or the errata of 23 should name the padding.",
        "Attention",
        _BODY,
        ("float32", *_NARROW),
    ),
    Finding(
        "onnx: the evaluator shows softcapped scores as qk_matmul_output in mode 0",
        "With softcap > 0 and qk_matmul_output_mode 0 the evaluator answers the scores behind the "
        "softcap; the text and the function body answer the plain product of queries and keys, "
        "scaled. In float64 it also takes the root of a scale that is given in float32.",
        "Attention",
        _EVALUATOR,
    ),
    Finding(
        "onnx: the function body of Attention takes the root of the scale in float32",
        "In float64 the scores are off by millions of roundings wherever the root of the scale is "
        "no power of two: the body computes it in float32 and casts it. It should be computed in "
        "the type of Q, or in float64.",
        "Attention",
        _BODY,
        ("float64",),
    ),
    Finding(
        "ONNX Runtime: Attention shows hidden scores as the lowest number, and refuses short masks",
        "The CPU kernel answers qk_matmul_output in mode 2 with the lowest finite number where a "
        "boolean mask or is_causal hides a key, and the standard with minus infinity, as the "
        "runtime's own expansion of the function body does. A mask that is shorter than the keys, "
        "or of one query where there are several (shape [1, 5] for 3 queries and 5 keys), is "
        "refused (attention_helper.h); the standard broadcasts the latter at every opset.",
        "Attention",
        _KERNEL,
    ),
    Finding(
        "onnx: the function body of LayerNormalization computes the variance in one pass",
        "The body takes the variance as E[x^2] - E[x]^2, which cancels: rows of equal values get a "
        "variance below zero and answer NaN, and rows far from zero lose their digits. The "
        "evaluator and ONNX Runtime's kernel subtract the mean first, and so should the body.",
        "LayerNormalization",
        _BODY,
    ),
    Finding(
        "onnx: the evaluator ignores stash_type in LayerNormalization",
        "In float16 the squares overflow beyond 256, because the evaluator computes the statistics "
        "in the type of X; stash_type is 1, float32, by default.",
        "LayerNormalization",
        _EVALUATOR,
        _NARROW,
    ),
    Finding(
        "onnx: the evaluator ignores stash_type in RMSNormalization",
        "In float16 the squares overflow beyond 256 and vanish below 2^-12, because the evaluator "
        "computes them in the type of X: the answer is 0 where the function body answers 0.94.",
        "RMSNormalization",
        _EVALUATOR,
        _NARROW,
    ),
    Finding(
        "onnx: stash_type makes RMSNormalization of float64 a float32 operator",
        "With the default stash_type 1 the function body rounds float64 to float32 and is off by "
        "tens of millions of float64's roundings; the evaluator and ONNX Runtime's kernel compute "
        "in float64. The text should say that statistics are computed in no less than X's type.",
        "RMSNormalization",
        _BODY,
        ("float64",),
    ),
    Finding(
        "onnx: the evaluator takes LogSoftmax as the logarithm of Softmax",
        "Where a probability underflows the answer is minus infinity and should be finite, -186 "
        "for instance. The function body, x - max - log(sum(exp(x - max))), is right.",
        "LogSoftmax",
        _EVALUATOR,
    ),
    Finding(
        "onnx: the evaluator's SoftmaxCrossEntropyLoss is infinite where a probability underflows",
        "The loss of a label with a probability below the smallest number of the type is infinite "
        "and should be 18868, say: it takes the logarithm of a softmax (softmaxcrossentropy in "
        "op_softmax_cross_entropy_loss.py). So is the function body's when the evaluator runs it, "
        "since its first node is LogSoftmax, and not when ONNX Runtime does.",
        "SoftmaxCrossEntropyLoss",
        (*_EVALUATOR, "evaluator, body"),
    ),
    Finding(
        "onnx: Gelu of float64 has float32 constants and a float32 erf",
        "The function body writes sqrt(2/pi), 0.044715 and sqrt(2) as float32 constants and casts "
        "them, the evaluator runs that body, and its Erf computes in float32 (op_erf.py, otypes): "
        "in float64 the answer is off by millions of roundings.",
        "Gelu",
        (*_BODY, *_EVALUATOR),
        ("float64",),
    ),
    Finding(
        "onnx: the evaluator's Loop makes a vector of each scalar that it collects",
        "The function body of Range answers (n, 1) for (n,) in the evaluator: scan outputs of rank "
        "0 become rank 1 before they are concatenated. ONNX Runtime runs the same body rightly.",
        "Range",
        ("evaluator, body",),
    ),
    Finding(
        "onnx: the body of SoftmaxCrossEntropyLoss-13 cannot be had in bfloat16",
        "The operator allows bfloat16, and its function body calls NegativeLogLikelihoodLoss-13, "
        "which does not (its version 22 does): the body is no valid graph, and a runtime that "
        "expands it refuses the operator.",
        "SoftmaxCrossEntropyLoss",
        ("ONNX Runtime, body",),
        ("bfloat16",),
    ),
    Finding(
        "onnx: the evaluator does not take MatMulInteger's zero points of a row",
        "For A of shape [M, K] the text allows a_zero_point of shape [M]; the evaluator subtracts "
        "it as it is, along K: it should be made [M, 1].",
        "MatMulInteger",
        _EVALUATOR,
    ),
    Finding(
        "ONNX Runtime: MatMulInteger refuses zero points of a row",
        "The CPU kernel takes only one zero point for A, whatever its shape; the text allows one a "
        "row (matmul_integer.cc, IsScalarOr1ElementVector).",
        "MatMulInteger",
        _KERNEL,
    ),
    *(
        Finding(
            f"ONNX Runtime: {name} of float64 loses its digits near zeros",
            "The CPU kernel of float64 is right to 3.4e-16 of 1 and not of the value: near a zero, "
            "such as 4.7 for the cosine, it is off by hundreds of roundings, where that of float32 "
            "stays within three; so it is where angles are reduced with too few digits of pi.",
            name,
            _KERNEL,
            ("float64",),
        )
        for name in ("Cos", "Sin")
    ),
)
