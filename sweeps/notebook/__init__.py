"""A study for those who sit in a notebook: tables, figures, networks."""
