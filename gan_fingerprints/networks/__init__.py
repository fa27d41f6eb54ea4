"""Layers, and network files: ours, and those of the 2019 release (`published`)."""
