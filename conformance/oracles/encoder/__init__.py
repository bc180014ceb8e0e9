"""Encoders of BERT's shape: fp64 truth, honest implementations, and the corpora of both."""
