"""A training run: how it begins, its folder, its optimizer. The loop is each subproject's own."""
