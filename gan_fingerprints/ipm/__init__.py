"""What CramerGAN and MMDGAN share (Bińkowski et al. 2018): integral probability metrics as losses.

Each of the two keeps its own loss (an `objectives.Objective`), its defaults and its entry point.
"""
