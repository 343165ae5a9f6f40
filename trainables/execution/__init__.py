"""How a recipe's stages are carried out for one seed."""
