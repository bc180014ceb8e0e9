"""Encoder-decoders, of T5's shape and in ``transformer`` of the original one: truth and noise."""
