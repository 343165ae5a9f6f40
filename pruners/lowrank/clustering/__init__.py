"""Input channels of a layer in clusters of equal size."""
