"""What a sweep is after: its objectives, the constraints to keep, and which network is taken in the end."""
