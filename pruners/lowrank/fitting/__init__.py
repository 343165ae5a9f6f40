"""Factors fitted to data: least-squares decoders for a layer's outputs, whole networks, and their guard."""
