"""What a linear model reaches on a data set when all of its training samples lie in one place.

    python benchmarks/central.py [DATASET] [C,C,...]

Fits scikit-learn's linear support vector machine to the training part of DATASET (amazon), found in
LOMAR_DATA_DIR, and prints its accuracy there and on the test part, by C (0.001 and 0.01). No
federated run of softmax regression can be expected to do better on samples that it never saw.
"""

from __future__ import annotations

import sys

from sklearn.svm import LinearSVC

from lomar_cli.data.registry import load


def main(name: str = "amazon", costs: str = "0.001,0.01") -> None:
    data = load(name)
    train = data.x_train.reshape(len(data.x_train), -1)
    test = data.x_test.reshape(len(data.x_test), -1)
    print(f"{name}: {len(train):,} training and {len(test):,} test samples")
    for cost in map(float, costs.split(",")):
        fitted = LinearSVC(C=cost, max_iter=2000, random_state=0).fit(train, data.y_train)
        scores = fitted.score(train, data.y_train), fitted.score(test, data.y_test)
        print(f"  C {cost:g}: training {scores[0]:.3f}, test {scores[1]:.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
