"""What gives the sources of a data set away, beside fingerprints."""
