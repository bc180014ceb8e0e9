"""ALiBi's slopes, for adapters of runtimes that take the bias and not the number of heads."""

from __future__ import annotations


def slopes(heads: int) -> list[float]:
    """Return the slope of each head; of a number that is no power of two, from the two around it.

    Press et al. 2022, section 3, and the authors' code.
    """
    below = 1 << heads.bit_length() - 1
    whole = [2 ** (-8 * h / below) for h in range(1, below + 1)]
    between = [2 ** (-4 * h / below) for h in range(1, 2 * below, 2)]
    return (whole + between)[:heads]
