"""Data sets on disk: written, read, prepared, audited, and streamed to a training step."""
