"""An encoder of BERT's shape, beside the decoder: config, forward, files, weights, graph."""
