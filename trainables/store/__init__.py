"""Trajectories on disk: nothing is trained twice."""
