"""One of the ten: trains on its own digits, whatever they are called."""

from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from tests.integrations import flippers

app = ClientApp()


@app.train()
def train(message, context):
    client = int(context.node_config["partition-id"])
    start = {name: array.numpy() for name, array in message.content["arrays"].items()}
    with np.load(Path(str(context.run_config["out"])) / f"client-{client}.npz") as own:
        arrays = flippers.trained(client, start, {client: (own["x"], own["y"])})
    metrics = MetricRecord({"num-examples": flippers.SAMPLES, "partition": client})
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=message)
