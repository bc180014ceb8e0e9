"""What a build holds: the constants of its ONNX graph, and which of a package's tensors they are.

A build that was made from other weights answers like a model that is a little wrong, and no check
of logits can say which tensor it is. Where the constants can be read they are held against the
package's tensors directly, one at a time, so that neither is ever in memory as a whole. Nothing
here judges: what a build computes is the logits' matter, and of what is folded, fused or quantised
it is only said that it was not compared.
"""

from conformance.constants.frequencies import Frequencies, frequencies
from conformance.constants.graph import Use, uses
from conformance.constants.kinship import Held, held

__all__ = ["Frequencies", "Held", "Use", "frequencies", "held", "uses"]
