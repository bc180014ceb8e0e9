"""Encoder-decoders of T5's shape: fp64 truth, honest implementations, and the corpora of both."""
