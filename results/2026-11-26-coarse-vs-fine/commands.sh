#!/usr/bin/env bash
# Run in a folder that holds `data`, see ../README.md.
set -euo pipefail

# WordNet's is-a pairs as child,parent,name
awk -F'\t' 'BEGIN { print "child,parent,name" } NR == FNR { name[$1] = $2; next }
  { split($0, pair, " "); printf "%s,%s,\"%s\"\n", pair[2], pair[1], name[pair[2]] }' \
  data/wordnet/names.txt data/wordnet/is_a.txt > wordnet.csv

source="wds:data/tiny_imagenet?taxonomy=wordnet.csv&prune=yes"
targets=(
  --target "wds:data/cifar100?taxonomy=data/cifar100/classes.csv"
  --target "imagefolder:data/omniglot/images_background_small2.zip?name=omniglot"
  --target "imagefolder:data/clothing10/clothing10.zip"
)

transferlab run coarse-vs-fine --source "$source" "${targets[@]}" --seeds 5 --store lab
transferlab report lab --study coarse-vs-fine --format md --out report.md
transferlab table --store lab --study coarse-vs-fine --format csv --out table.csv
