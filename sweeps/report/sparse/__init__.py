"""The report's charts of masks and of lottery tickets, a file each."""
