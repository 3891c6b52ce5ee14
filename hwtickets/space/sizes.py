"""Size attributes of layers, after their weights were cut."""

from __future__ import annotations

from torch import nn


def refresh_sizes(module: nn.Module) -> None:
    """Makes size attributes agree with the weights, for all that read them (forward, exporters, counters).

    The number of groups cannot be told from the weights: it has to be right before.
    """
    if isinstance(module, nn.modules.batchnorm._NormBase) and module.weight is not None:
        module.num_features = module.weight.shape[0]
    if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
        module.num_features = module.running_mean.shape[0]
    if isinstance(module, nn.GroupNorm) and module.weight is not None:
        module.num_channels = module.weight.shape[0]
    if isinstance(module, nn.modules.conv._ConvNd):
        _refresh_convolution(module)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    if isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = module.weight.shape
    if isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    if isinstance(module, nn.RNNBase):
        own, taken = module.get_parameter("weight_hh_l0"), module.get_parameter("weight_ih_l0")
        module.hidden_size, module.input_size = own.shape[1], taken.shape[1]


def _refresh_convolution(module: nn.modules.conv._ConvNd) -> None:
    first, second = module.weight.shape[:2]
    if module.transposed:
        module.in_channels, module.out_channels = first, second * module.groups
        return
    module.out_channels, module.in_channels = first, second * module.groups
