"""Word vectors: lookup, search, postprocessing and file formats."""
