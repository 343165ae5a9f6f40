"""What all charts share: their looks, and the words for numbers."""
