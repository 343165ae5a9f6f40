"""What every method that chooses ranks must hold to."""
