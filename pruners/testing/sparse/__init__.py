"""What every method that scores single weights must hold to."""
