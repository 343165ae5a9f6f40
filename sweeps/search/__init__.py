"""What is tried: the samplers that draw it, whether it can be, what it will cost, and what stops it early."""
