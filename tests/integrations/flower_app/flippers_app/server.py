"""The same course twice: FedAvg, and FedAvg behind lomar; what came of it goes to ``out``."""

import json
from pathlib import Path

from flwr.app import Array, ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

from lomar_cli.integrations.flower import LomarStrategy
from tests.integrations import flippers

app = ServerApp()


def partition(reply):
    return f"partition-{reply.content['metrics']['partition']}"


@app.main()
def main(grid, context):
    rounds, out = int(context.run_config["rounds"]), Path(str(context.run_config["out"]))
    nodes = flippers.CLIENTS
    found = {}
    for name in ("undefended", "defended"):
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
        if name == "defended":
            strategy = LomarStrategy(strategy, client=partition, verdicts=out / "verdicts")
        start = ArrayRecord({name: Array(array) for name, array in flippers.START.items()})
        result = strategy.start(grid=grid, initial_arrays=start, num_rounds=rounds)
        trained = [result.arrays[name].numpy() for name in flippers.START]
        found[name] = flippers.accuracy_on_ones(*trained)
    (out / "found.json").write_text(json.dumps(found))
