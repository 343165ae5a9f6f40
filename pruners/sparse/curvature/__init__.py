"""Gradients, Hessian and Fisher diagonals, and Kronecker factors of a network's loss."""
