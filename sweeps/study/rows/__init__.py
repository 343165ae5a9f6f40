"""The rows of an Optuna study: what each says, which trial it belongs to, and all of them in memory."""
