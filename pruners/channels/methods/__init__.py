"""The methods that score channels, one file each."""
