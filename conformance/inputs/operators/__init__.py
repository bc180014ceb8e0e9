"""Calls of operators, generated: shapes by hypothesis, numbers by seed, kinds by case.

A case is part of an input's meaning: faults that are invisible on ordinary data (a wrong epsilon at
unit variance, a missing softcap on small scores) are plain to see on the data that they matter for.
Cases stand with their requirement, as data; here they are made into calls, one module a family.
Shape letters: B batch, T queries, S keys, H query heads, G key/value heads, K head dim, N rows, D
features, C classes, V vocabulary.
"""
