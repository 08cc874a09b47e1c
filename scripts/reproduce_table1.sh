#!/usr/bin/env bash
# Table 1 of the paper from nothing: sets up .venv, fetches MNIST, trains every cell with three seeds, prints the table.
#
#     scripts/reproduce_table1.sh                   # hours: outputs/reference/distorted_mnist/totals.md says how many
#     scripts/reproduce_table1.sh data=r seed=1     # a column with one seed; words go to the sweeps
#     scripts/reproduce_table1.sh recipe=paper      # the published schedule
#
# Stopped or failed, the same command goes on: finished runs are skipped. The records, the table in three formats, the
# tests and the figure are then in outputs/table1 (TABLE1=FOLDER names another), to be compared with outputs/reference.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sweeps=(distorted_mnist bounds)
runs=outputs/runs
recipe=fast
for word in "$@"; do # what the words choose is what is collected
    case $word in
        tag=* | data.validation=*)
            echo "reproduce_table1.sh: Table 1 is of runs without a tag, on test digits: leave $word out" >&2
            exit 2
            ;;
        output=*) runs=${word#output=} ;;
        recipe=*) recipe=${word#recipe=} ;;
        transform=* | model=*_stn*) sweeps=(distorted_mnist) ;; # bounds have no transformer
    esac
done
folder=${TABLE1:-outputs/table1}/$recipe

make --no-print-directory .venv/installed
.venv/bin/stn-data fetch
for sweep in "${sweeps[@]}"; do
    .venv/bin/stn-train "sweep=$sweep" "$@"
done
.venv/bin/python scripts/collect_reference.py "$runs" "$folder" --recipe "$recipe"
echo
cat "$folder/table.md"
echo
cat "$folder/totals.md"
echo
echo "More of it: $folder/table.tex, table.csv, tests.csv, figure.png"
