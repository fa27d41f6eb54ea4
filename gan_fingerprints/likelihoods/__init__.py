"""Likelihood ratios of a network's answers: fitted, bounded, and as its file keeps them."""
