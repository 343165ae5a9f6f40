"""What a few hundred unlabelled images tell about a network: its layers' moments, and divergence from it."""
