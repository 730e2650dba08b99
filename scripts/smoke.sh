#!/usr/bin/env bash
# Run a tiny grid with the fmgrid on PATH as a user would: train, repeat, summarize, report.
set -euo pipefail
cd "$(dirname "$0")/.."

logdir=$(mktemp -d)
trap 'rm -rf "$logdir"' EXIT
fmgrid run configs/smoke/tiny.toml --logdir "$logdir"
fmgrid run configs/smoke/tiny.toml --logdir "$logdir" # finished work is left alone
fmgrid summarize "$logdir" --output "$logdir/experiment_summary.csv"
test "$(wc -l < "$logdir/experiment_summary.csv")" -eq 7 # a header and six runs
fmgrid report "$logdir" --output "$logdir/report"
python scripts/check_report.py "$logdir/report"
