"""Generated source data, one module a pipeline: the published formats with their quirks, from a seed."""
