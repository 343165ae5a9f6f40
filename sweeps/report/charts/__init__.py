"""The report's charts that every study has, a file each."""
