"""Expected values: fp64 operators with error bounds, the decoder made of them, honest ensembles.

NumPy only. Nothing here imports torch or the reference model: the two implementations are
independent and tested against each other, and a verifier recomputes from here alone.
"""
