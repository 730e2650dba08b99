#!/usr/bin/env bash
# The study at ten seeds, and what it leaves in doubt put to the test: makes docs/replication/.
# About ten minutes on two cores; no time for runs that are there already. FMGRID names the command.
set -euo pipefail
cd "$(dirname "$0")/.."

fmgrid=${FMGRID:-.venv/bin/fmgrid}
logs=modellogs-replication
seeds=0,1,2,3,4,5,6,7,8,9

$fmgrid run configs/ --seeds $seeds --logdir $logs/study --quiet
$fmgrid run configs/beyond/ --seeds $seeds --logdir $logs/beyond --quiet
$fmgrid report $logs/study --output docs/replication --reference docs/published_results.csv \
  --json > $logs/study.json
$fmgrid summarize $logs/study --output docs/replication/experiment_summary.csv \
  --by-experiment docs/replication/by_experiment.csv
$fmgrid report $logs/beyond --output docs/replication/beyond --json > $logs/beyond.json
"${PYTHON:-.venv/bin/python}" scripts/show_replication.py $logs/study.json $logs/beyond.json
