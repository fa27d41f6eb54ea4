"""A trained classifier at work: verdicts on images, and how often they are right."""
