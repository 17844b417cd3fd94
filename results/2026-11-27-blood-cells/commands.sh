#!/usr/bin/env bash
# Run in the folder of ../2026-11-27-paper/commands.sh, after it: its pre-trained networks are in lab, only detectors are made.
set -euo pipefail
here=$(dirname "$0")

# Two of the set's boxes have no area: --skip-bad leaves them out and counts them.
transferlab run "$here/blood_cells.py" --skip-bad --store lab
transferlab report lab --study blood-cells --format md --out report.md
transferlab table --store lab --study blood-cells --format csv --out table.csv
