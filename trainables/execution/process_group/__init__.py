"""Processes that share a trial's trainings, begun, told what to do and ended by the trial's own process."""
