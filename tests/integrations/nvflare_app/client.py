"""What a site runs: NVFlare copies this file, so it finds the rest by PYTHONPATH."""

import numpy as np
import nvflare.client as flare

from tests.integrations import flippers

flare.init()
own = flippers.samples()
client = int(flare.get_site_name().rpartition("-")[2]) - 1
while flare.is_running():
    received = flare.receive()
    start = {name: np.asarray(values, np.float32) for name, values in received.params.items()}
    trained = flippers.trained(client, start, own)
    update = {name: trained[name] - start[name] for name in start}
    # FedAvg counts a site's steps.
    meta = {"NUM_STEPS_CURRENT_ROUND": 20}
    flare.send(flare.FLModel(params=update, params_type="DIFF", meta=meta))
