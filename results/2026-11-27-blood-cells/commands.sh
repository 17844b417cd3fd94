#!/usr/bin/env bash
# Run in a folder that holds `data`, see ../README.md; data/bccd_voc is the blood-cell set in VOC's layout.
set -euo pipefail

source="wds:data/tiny_imagenet?taxonomy=wordnet.csv&prune=yes" # wordnet.csv: see ../2026-11-26-images-per-class/commands.sh
target="voc:data/bccd_voc?task=detection&size=256"

# Two of the set's boxes have no area: --skip-bad leaves them out and counts them.
transferlab run images-per-class --source "$source" --target "$target" --seeds 3 --skip-bad --store lab
transferlab report lab --study images-per-class --format md --out report.md
transferlab table --store lab --study images-per-class --format csv --out table.csv
