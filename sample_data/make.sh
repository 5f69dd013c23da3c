#!/usr/bin/env bash
# Makes everything in this folder again, from scikit-learn's digits: sample_data/make.sh [FOLDER]
# The bytes depend on the versions of lomar and NumPy and, in last digits, on the processor.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=${1:-$here}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 1. digits-round.h5: a round of the pipeline, 40 honest clients and 8 label flippers.
lomar partition digits --clients 40 --samples-per-client 80 --seed 1 -q -o "$work/split.h5"
lomar attack label-flip "$work/split.h5" --flip 1:7 --malicious 8 --seed 1 -q \
  --truth "$to/digits-truth.json" -f -o "$to/digits-split.h5"
lomar train "$to/digits-split.h5" --local-steps 10 --lr 0.1 --seed 1 -q -f -o "$to/digits-round.h5"

# 2. updates/: what a stranger would have, the second round of another system: trained parameters
#    a file a client, the model they started from, and how many samples each client says it holds.
lomar partition digits --clients 25 --samples-per-client 60 --imbalance 0.3 --seed 2 -q -o "$work/clean.h5"
lomar attack label-flip "$work/clean.h5" --flip 1:7 --malicious 5 --seed 2 -q -o "$work/bad.h5"
lomar train "$work/clean.h5" --local-steps 5 --lr 0.1 --seed 2 -q -o "$work/first.h5"
lomar aggregate "$work/first.h5" -q -o "$work/model.h5"
lomar train "$work/bad.h5" --init "$work/model.h5" --local-steps 10 --lr 0.1 --seed 3 -q -o "$work/second.h5"
lomar export "$work/second.h5" -q -o "$work/updates"
lomar export "$work/model.h5" -q -o "$work/global.npz"
python "$here/as_stranger.py" "$work" "$to"
