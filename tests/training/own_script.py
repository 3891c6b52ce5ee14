"""A user's script: torchrun starts it in every process, and it knows nothing of that."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from scenarios import OWN_TASK

import hwtickets as hw

torch.set_num_threads(1)
folder = Path(sys.argv[1])
answer = hw.retrain(folder / "ticket", epochs=1, task=OWN_TASK, output_dir=folder / "new", quiet=True)
print(f"{answer['steps']} steps")
