#!/usr/bin/env bash
# Run in a folder that holds `data`, see ../README.md, and a copy of proxies.py.   Expect: 65 min on two cores without bf16.
set -euo pipefail

run() { # backbone, examples, seeds, name
  transferlab run proxies.py --backbone "$1" --examples "$2" --seeds "$3" --store "lab-$4"
  transferlab table --store "lab-$4" --format csv --out "table-$4.csv"
}
run small:16 15000 3 small16-15000
run small:16 60000 3 small16-60000
run small:24 60000 1 small24-60000
