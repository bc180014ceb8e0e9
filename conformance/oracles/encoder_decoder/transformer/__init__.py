"""The encoder-decoder of Vaswani et al. 2017: what it is, fp64 truth, and what may be permuted."""
