"""An encoder-decoder of T5's shape, beside the others: config, forward, files, weights, graph."""
