"""The study: the directory it lives in, the ledger of its trials, and the record read back from them."""
