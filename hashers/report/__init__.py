"""The report of `hashers compare`: one self-contained page."""

from hashers.report.page import build_page, write_report

__all__ = ["build_page", "write_report"]
