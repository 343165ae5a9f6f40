"""What is asked of a module: its names, inputs, state and modes."""
