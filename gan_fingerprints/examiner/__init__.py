"""The command for people with images in question: evidence, verdicts, report."""
