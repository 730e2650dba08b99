"""Runs -> values: the study, statistics, effects and verdicts."""
