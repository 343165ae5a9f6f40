"""`tombola init`: the first sweep file for a network and its data."""
