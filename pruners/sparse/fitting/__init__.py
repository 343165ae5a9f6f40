"""Kept weights fitted to what a layer's outputs were before the others were removed."""
