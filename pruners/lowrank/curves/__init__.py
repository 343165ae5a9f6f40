"""Errors of a layer over its options, by calibration images: of its outputs, or measured of the network."""
