#!/usr/bin/env bash
# One round of the paper's MNIST setting, all stages: 1,000 clean clients of 600 samples,
# 100 flippers 1:7, 5 epochs, batches of 20. STYLE is pure or mixed.
# Usage: LOMAR_DATA_DIR=folder sample_data/mnist_round.sh [OUTPUT_FOLDER [LAMBDA [STYLE [METHOD]]]]
set -euo pipefail
out=${1:-mnist-round}
lambda=${2:-0}
style=${3:-pure}
method=${4:-lomar-auto}
mkdir -p "$out"
lomar partition mnist --clients 1000 --samples-per-client 600 --imbalance "$lambda" -f -o "$out/split.h5"
lomar attack label-flip "$out/split.h5" --flip 1:7 --malicious 100 --style "$style" -f -o "$out/poisoned.h5"
lomar train "$out/poisoned.h5" --epochs 5 --batch-size 20 --lr 0.01 -f -o "$out/round.h5"
lomar score "$out/round.h5" --method "$method" -f -o "$out/scores.h5"
lomar filter "$out/round.h5" --scores "$out/scores.h5" -f -o "$out/kept.h5"
lomar aggregate "$out/round.h5" --scores "$out/scores.h5" -f -o "$out/next.h5"
lomar evaluate "$out/next.h5" --split "$out/poisoned.h5" --flip 1:7 \
  --scores "$out/scores.h5" --truth "$out/truth.json" -f -o "$out/metrics.json"
