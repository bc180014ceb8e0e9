"""The encoder-decoder of Vaswani et al. 2017, as Marian's checkpoints hold it."""
