"""Generated source data, one module per pipeline, in the published formats with their quirks."""
