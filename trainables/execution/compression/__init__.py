"""Compressing a network within a trial: its images, and what is computed of them once."""
