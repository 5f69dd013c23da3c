"""Two rounds of ten sites in NVFlare's simulator: ``python job.py WORKSPACE``."""

import sys
from pathlib import Path

from lomar_aggregator import LomarAggregator
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import FrameworkType, ScriptRunner

from tests.integrations.flippers import CLIENTS, START

if __name__ == "__main__":
    job = FedJob(name="lomar", min_clients=CLIENTS)
    start = {name: values.tolist() for name, values in START.items()}
    aggregator = LomarAggregator()
    rounds = FedAvg(num_clients=CLIENTS, num_rounds=2, model=start, aggregator=aggregator)
    job.to_server(rounds)
    client = Path(__file__).with_name("client.py")
    job.to_clients(ScriptRunner(script=str(client), framework=FrameworkType.NUMPY))
    job.simulator_run(sys.argv[1], n_clients=CLIENTS, threads=2)
