"""The user's own modules: found by name, called, and digested with all that they import."""
