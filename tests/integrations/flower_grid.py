"""Flower's own messages and ClientApp in one process: only the network between them is ours."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity


def identify(monkeypatch):
    """What Flower sets when it starts a server; messages carry it."""
    for name, value in {"_task_id": 1, "_run_id": 1, "_node_id": 1}.items():
        monkeypatch.setattr(TaskIdentity, name, value)


def record(arrays):
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


def content(arrays, count=100, **metrics):
    metrics = MetricRecord({"num-examples": count, **metrics})
    return RecordDict({"arrays": record(arrays), "metrics": metrics})


def client_app(answer):
    """A ClientApp whose reply's content is ``answer(client, {name: array}, round)``."""
    app = ClientApp()

    @app.train()
    def train(message, context):
        start = {n: a.numpy() for n, a in message.content["arrays"].items()}
        server_round = message.content["config"]["server-round"]
        made = answer(context.node_config["client"], start, server_round)
        return Message(made, reply_to=message)

    return app


class InProcess(Grid):
    """Hands each message to the ClientApp of its node and gives the replies back."""

    def __init__(self, clients, app):
        self.clients, self.app = clients, app

    def set_run(self, run):
        pass

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, *args, **kwargs):
        raise NotImplementedError

    def get_node_ids(self):
        return list(self.clients)

    def push_messages(self, messages):
        raise NotImplementedError

    def pull_messages(self, message_ids):
        raise NotImplementedError

    def send_and_receive(self, messages, *, timeout=None, **more):
        replies = []
        for message in messages:
            client = message.metadata.dst_node_id
            about = Context(1, client, {"client": client}, RecordDict(), {})
            replies.append(self.app(message, about))
        return replies
