"""Rebuilds a ticket as its user does in another program: python -m tests.modules.rebuild TICKET OUTPUT.

Writes state.pt and model.onnx, and prints as JSON what the network is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from benchmarks.torchvision_here import declare_operators

if __name__ == "__main__":
    declare_operators()
    from hwtickets.sparsity.ticket import Ticket

    torch.set_num_threads(1)
    ticket = Ticket.load(Path(sys.argv[1]))
    network, folder = ticket.module().body, Path(sys.argv[2])
    x = torch.linspace(-1, 1, ticket.architecture.input_shape[0] * 32 * 32).reshape(1, -1, 32, 32)
    torch.save(network.state_dict(), folder / "state.pt")
    torch.onnx.export(network, (x,), folder / "model.onnx", dynamo=False)
    facts = {
        "kind": type(network).__name__,
        "training": network.training,
        "outputs": network(x).tolist(),
        "rooms": sorted({name.split(".")[1] for name in sys.modules if name.startswith("hwtickets.")}),
    }
    print(json.dumps(facts))
