"""The reference model: a Llama decoder to be read, and the suite's own models made with it.

Only ``model``, ``generate`` and ``export`` import torch; everything else needs NumPy at most, so
that asking which models there are costs nothing.
"""
