"""Networks that paint in one pass: the transformer network of Johnson et al., its training, its files."""
