"""How far an answer may be off, and why just that far: one row for each judge.

The numbers of a precision contract stand in ``spec/precision.json``, with their own basis; here
stands what is made of them. A check takes its limit from the judges that it calls, so these rows
say, for every requirement, how its tolerance is decided. Nothing here judges.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a judge demands."""

    demand: str
    basis: str


_NOISE = (
    "A noise unit is the error of honest implementations: the median over copies of the model that "
    "compute the same function, its channels, units and heads permuted so that sums are taken in "
    "another order, in the contract's types and on the frozen corpus."
)
_SUM = (
    " Two that are each within their bound differ by no more than the sum of the bounds (the "
    "triangle inequality): a candidate is never judged by another alone, and the difference tells "
    "which of the two moved."
)
_EXACT = "No arithmetic lies between the two sides, so there is nothing to round."

_LOOKS = " So many draws that a total variation of 0.02 or more between cells is noticed with 0.99."
_DRAWS = (
    "Cells are pooled until each holds a thirty-second (of pairs, a quarter), so that G2 follows "
    "chi-squared. A total variation of d makes it noncentral by 4 n d^2 at least (Pinsker), which "
    "tells n. Both looks fail an honest candidate once in 10^8 tests, 10^4 tests of a run less "
    "often than once in 10^4 runs; sizes and powers are measured in reports/sampling-power.md."
)

TOLERANCES = {
    "within_noise": Tolerance(
        "The error against fp64 on the whole corpus: its RMS within the contract's noise_rms noise "
        "units, its largest within noise_max units of the honest largest.",
        _NOISE + " The two limits, and why they tell every known fault from honest engines, stand "
        "with the contract. Of encoders each output has a unit of its own: PyTorch at fp32, fp16 "
        "and bf16, Transformers at fp32 and bf16 and ONNX Runtime at fp32 err by 0.80 to 1.24 "
        "units (RMS) and 0.79 to 1.88 (largest error) on the suite's two, torch 2.13 on a CPU. Of "
        "encoder-decoders likewise: PyTorch and Transformers at fp32, fp16 and bf16, ONNX Runtime "
        "and the ONNX evaluator at fp32 and OpenVINO at f32 err by no more than 1.27 units (RMS) "
        "and 2.03 (largest error).",
    ),
    "max_within_noise": Tolerance(
        "The largest error against fp64 within the contract's noise_max units of the honest "
        "largest.",
        _NOISE + " A generated input is too small for an RMS, so its largest error is judged.",
    ),
    "related": Tolerance(
        "Two answers of the candidate differ by at most sqrt(2) times the contract's noise_max "
        "units of the honest largest.",
        _NOISE + " Each answer may be off by the noise; independent errors add in squares.",
    ),
    "without_trend": Tolerance(
        "A line through the RMS errors, in noise units, rises by no more than 0.25 from its first "
        "level to its last.",
        "Each level is the RMS of a hundred thousand numbers. PyTorch on the suite's three models, "
        "three seeds each, rises by -0.04 to 0.00 over 1 to 64 steps and by less than 0.001 over 1 "
        "to 64 rows and slots; ONNX Runtime by -0.01 to 0.01. A quarter is six times the largest "
        "of them, and far below what a difference of two answers shows.",
    ),
    "same_distribution": Tolerance(
        "The mean KL divergence within noise_rms squared times the honest one, the largest within "
        "noise_max squared times the honest largest.",
        "A divergence grows with the square of the error: what is allowed in noise units is "
        "allowed squared. " + _NOISE,
    ),
    "same_loss": Tolerance(
        "The mean loss within an honest member's difference and five of its standard errors.",
        "The standard error is taken from token to token, of the honest members and not of the "
        "candidate: a gross fault would bring its own excuse.",
    ),
    "same_gain": Tolerance(
        "No more of the exact logits in the error than honest errors hold.",
        "The matched filter's estimate, at five standard errors from token to token beyond the "
        "interval of the honest ensemble.",
    ),
    "same_ranking": Tolerance(
        "A token that takes another's place among the five most probable is exactly as probable "
        "to within twice noise_max of the noise at that token, and no more top tokens change than "
        "noise makes.",
        "Each of two logits may be off by the noise. The number of changed top tokens is a sum of "
        "independent chances, bounded at 1e-6 (Poisson).",
    ),
    "in_its_type": Tolerance(
        "The error is below half of the noise of every type narrower than the claimed one.",
        "Honest errors of one type differ by a fifth; those of types of other widths by a factor "
        "of four at least. " + _NOISE,
    ),
    "free_of_faults": Tolerance(
        "Half of a fault, for every known fault that can be told from rounding.",
        "A strength of 1 is the fault, 0 its absence. Judged are the faults of which the honest "
        "ensemble and five standard errors together stay below a half; the others are listed.",
    ),
    "within_bounds": Tolerance(
        "Each number within the rounding error bound that the oracle derives for this very input.",
        "The bound holds for any order of summation in the contract's types (Higham 2002, section "
        "3.1; Higham and Mary 2019: exceeded with a probability of at most 1e-9 for a case). Where "
        "it is zero, and where the exact value is infinite or NaN, equality is demanded.",
    ),
    "both_within_noise": Tolerance(
        "Of each candidate, the error against fp64 within its contract's noise_rms and noise_max; "
        "of the two, the difference of their errors within the sum of both limits.",
        _NOISE + _SUM,
    ),
    "both_max_within_noise": Tolerance(
        "Of each candidate, the largest error against fp64 within its contract's noise_max; of the "
        "two, the largest difference within the sum of both limits.",
        _NOISE + _SUM,
    ),
    "both_within_bounds": Tolerance(
        "Of each candidate, each number within the bound that its contract gives; of the two, each "
        "difference within the sum of both bounds.",
        "The bounds are those of within_bounds." + _SUM,
    ),
    "same_decisions": Tolerance(
        "Where two choose different tokens, the one that chose the less probable is off by no more "
        "than twice noise_max of its noise there; and no more choices differ than the noise of the "
        "two makes.",
        "The number of different choices is a sum of independent chances, of the one and of the "
        "other, bounded at 1e-6 (Poisson): less than each may have of its own, added up.",
    ),
    "same_shares": Tolerance(
        "The same tokens have a share, and each share lies within the rounding error bound of "
        "float32 that the oracle derives for this very request.",
        "The errors of logits, temperature and penalties are carried through the softmax to first "
        "order, with the roundings of its sum (Higham 2002, section 3.1), of each limit once more. "
        "Judged are logits on which every token is four bounds away from the edge of every limit.",
    ),
    "in_support": Tolerance(
        "No drawn token outside the support, of 6,905 draws a row.",
        "A share of 1e-3 outside is missed with a probability of 1e-3: (1 - 1e-3)^6905.",
    ),
    "as_often": Tolerance(
        "G2 of the frequencies within the quantile of chi-squared at 1e-3 over the number of "
        "rows; where it is not, of four times as many fresh draws, at 1e-5." + _LOOKS,
        _DRAWS,
    ),
    "over_seeds": Tolerance(
        "The same of the first draws of seeds in a row, where a total variation of 0.1 has to be "
        "noticed: each draw costs a call of its own.",
        _DRAWS,
    ),
    "independent_steps": Tolerance(
        "G2 of pairs of draws that follow each other, against the product of their frequencies."
        + _LOOKS,
        _DRAWS,
    ),
    "independent_rows": Tolerance(
        "G2 of pairs of draws of neighbouring rows, the same draw and one apart, against the "
        "product of their frequencies." + _LOOKS,
        _DRAWS,
    ),
    "independent_seeds": Tolerance(
        "G2 of pairs of draws of seeds that follow each other, the same draw and one apart, "
        "against the product of their frequencies." + _LOOKS,
        _DRAWS,
    ),
    "bitwise_equal": Tolerance(
        "The same numbers, bit for bit.",
        "The two sides come from no arithmetic, or from the same arithmetic on the same numbers.",
    ),
    "equals_closed_form": Tolerance(
        "The closed form's numbers: the same where it is exact, within a few roundings of the "
        "contract's types where every implementation rounds.",
        "The planted weights and all that leads to a logit are dyadic numbers of at most eight "
        "bits, so nothing is rounded in any order. The roundings of a mean are counted; those of "
        "the soft models were measured, and stand with the figures in oracles/closed_form.py.",
    ),
    "chosen_greedily": Tolerance(
        "A token that is not the most probable one behind those before it is exactly as probable "
        "to within twice noise_max of the noise, and no more tokens are than noise makes, of those "
        "that lead by four of the largest deviations allowed as of all.",
        "Each of two logits may be off by the noise. What follows an excused token is judged "
        "behind that token, so that it is excused once. The number of excused tokens is a sum of "
        "independent chances, bounded at 1e-6 (Poisson). " + _NOISE,
    ),
    "same_logprobs": Tolerance(
        "Each log-probability within twice noise_max of the noise and the bound of a log-softmax.",
        "It is a logit less a weighted mean of logits, each of which may be off by the noise; the "
        "bound is that of LogSoftmax in the contract's types. " + _NOISE,
    ),
    "same_logprobs_of_text": Tolerance(
        "The RMS error of the log-probabilities of eighty tokens of text within noise_rms noise "
        "units of text and the bound of a log-softmax.",
        "PyTorch eager and Transformers SDPA are at 0.30 to 1.11 noise units on the trained model "
        "at fp32, fp16 and bf16, torch 2.13 on a CPU. " + _NOISE,
    ),
    "ends_as_asked": Tolerance("Every row ends where it was to end, for the reason told.", _EXACT),
    "refused": Tolerance("The request is refused.", _EXACT),
    "chosen_by_closed_form": Tolerance(
        "Every token has the largest logit of the closed form; of equals, to within the roundings "
        "that it allows, any.",
        "The logits are those of equals_closed_form: where they are exact, their order is.",
    ),
    "same_texts": Tolerance("The same texts, character for character.", _EXACT),
    "same_ids": Tolerance("The same ids, one by one.", _EXACT),
    "ids_exist": Tolerance("Every id from 0 to the declared size less 1.", _EXACT),
    "none_special": Tolerance("No id of a special token.", _EXACT),
    "offsets_in_place": Tolerance(
        "No start before the one before, no end behind the text, no character left out.", _EXACT
    ),
    "same_offsets": Tolerance("The place of its bytes, for each id.", _EXACT),
    "same_facts": Tolerance("The same ids, special tokens, ends and rules.", _EXACT),
    "fits_model": Tolerance("No contradiction between tokenizer and config.json.", _EXACT),
    "all_zero": Tolerance(
        "Zero exactly.", "What is masked gets exp(-inf), which IEEE 754 defines as zero."
    ),
    "all_finite": Tolerance(
        "No NaN and no infinity.", "The exact values are finite and far from overflow."
    ),
    "follows_schema": Tolerance("The document follows its schema.", _EXACT),
    "same_tensors": Tolerance(
        "Each constant of the build that is one of the package's tensors has the same numbers, "
        "rounded once at most to the claimed weight type or to its own.",
        "One rounding to nearest moves a number by no more than the unit roundoff of itself.",
    ),
    "same_frequencies": Tolerance(
        "Each rotary frequency is the exact one but for 2 ln(base) + 8 (1 + factor) roundings of "
        "the type of phases.",
        "An exponent rounded by u of itself moves a power by u ln(base) of itself, and its "
        "quotient by as much again; the rest is eight roundings, and eight of the weight by which "
        "Llama 3's scaling mixes a frequency with its factor-th part.",
    ),
    "accepted": Tolerance("The format's own rules accept it.", _EXACT),
    "unchanged": Tolerance("The digest is the same before and after.", _EXACT),
}
"""By the name of the judge."""
