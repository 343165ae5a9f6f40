"""A whole trial, as Ray or this process runs it."""
