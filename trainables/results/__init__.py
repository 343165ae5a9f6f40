"""What came of a trial: figures, verdicts, result.json."""
