"""What all charts share: their looks, and the wording of names and numbers."""
