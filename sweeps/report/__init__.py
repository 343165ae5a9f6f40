"""The study's report: one page that opens offline, made from the study directory alone."""

from sweeps.report.page import write_report

__all__ = ["write_report"]
