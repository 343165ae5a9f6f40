"""The study: its directory, the ledger of its trials, and the record read back from them."""
