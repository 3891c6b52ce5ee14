"""Networks that others wrote: any `torch.nn.Module` as a supernet."""
