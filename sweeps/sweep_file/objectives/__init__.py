"""What a sweep is after: its objectives."""
