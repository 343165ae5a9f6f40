"""What is searched: the space, the samplers that draw from it, and what a draw will cost."""
