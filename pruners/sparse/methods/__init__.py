"""The methods that score single weights, a file each."""
