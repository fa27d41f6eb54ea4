"""Validation of a trained network on images of known source, and the card that keeps its result."""
