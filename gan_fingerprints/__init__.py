"""What the subprojects of GAN Fingerprints share."""

__version__ = "0.1.0"
