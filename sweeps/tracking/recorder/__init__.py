"""The process beside the driver: it makes W&B's runs of the journals, and uploads them while they grow."""
