#!/usr/bin/env bash
# Run in a folder that holds `data`, see ../README.md.
set -euo pipefail

# WordNet's is-a pairs as child,parent,name
awk -F'\t' 'BEGIN { print "child,parent,name" } NR == FNR { name[$1] = $2; next }
  { split($0, pair, " "); printf "%s,%s,\"%s\"\n", pair[2], pair[1], name[pair[2]] }' \
  data/wordnet/names.txt data/wordnet/is_a.txt > wordnet.csv

transferlab run longer.py --store lab
transferlab report lab --study longer --format md --out report.md
transferlab table --store lab --study longer --format csv --out table.csv
