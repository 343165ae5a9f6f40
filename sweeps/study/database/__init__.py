"""The database that a study may live in: its URL, how it is opened, and waiting for it while it is away."""
