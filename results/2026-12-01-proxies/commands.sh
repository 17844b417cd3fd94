#!/usr/bin/env bash
# Run in a folder that holds `data`, see ../README.md, and copies of proxies.py and five.py.   Expect: about an hour on two cores without bf16.
set -euo pipefail

run() { # study file, backbone, examples, seeds, name
  transferlab run "$1" --backbone "$2" --examples "$3" --seeds "$4" --store "lab-$5"
  transferlab table --store "lab-$5" --format csv --out "table-$5.csv"
}
run proxies.py small:16 15000 3 small16-15000
run proxies.py small:16 60000 3 small16-60000
run proxies.py small:24 60000 1 small24-60000
run five.py small:16 250000 1 small16-250000
