"""The operators of a decoder, one module a family: the value, how far rounding carries it, the row.

Each module has three parts, which read on one page:

* functions that compute the operator in plain NumPy, in the arithmetic of their input type: in
  float64 they are the truth that candidates are judged by, in float32 one honest implementation;
* ``<name>_bound``, the componentwise bound on the error of honest implementations of a contract
  (see ``conformance.oracles.units`` for letters and conventions);
* ``OPERATORS``, the rows by which the ONNX standard's calls reach them. Decisions about the text of
  the standard stand where they are made, marked ``Decision``.

Operators that the ONNX standard lacks stand in the domain ``llm-conformance``; their rows are their
definition. Shape letters: B batch, T tokens, S keys, D model, H heads, G key/value heads, K head
dim, R rotated pairs, V vocabulary, I and O inputs and outputs of a linear map, N rows, C classes.
"""
