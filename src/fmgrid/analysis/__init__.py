"""What the runs say: the study as values, statistics, effects and verdicts."""
