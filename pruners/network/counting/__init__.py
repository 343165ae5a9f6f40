"""How often each weight is used in a forward pass, and how many multiply-adds that takes."""
