"""The suite of methods that remove channels."""
