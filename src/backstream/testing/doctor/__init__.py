"""Examines anybody's endpoint: does it speak its dialect, and does it tell the truth about its answers?"""

from backstream.testing.doctor.runner import CHECKS, examine, find_dialects
from backstream.testing.doctor.verdict import Finding, Scorecard, Verdict

__all__ = ["CHECKS", "Finding", "Scorecard", "Verdict", "examine", "find_dialects"]
