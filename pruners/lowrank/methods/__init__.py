"""The methods that choose ranks, a file each."""
