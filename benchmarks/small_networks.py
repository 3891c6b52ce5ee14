"""Small networks of the kinds that timm has none of: for dense prediction, signals, text and volumes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _conv(
    c_in: int, c_out: int, kernel: int = 3, stride: int | tuple[int, int] = 1, dilation: int = 1
) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Encoder and decoder with concatenated skips and transposed convolutions (arXiv:1505.04597).

    Args:
        widths: Channels by level, from the finest.
        classes: Channels of the output.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128), classes: int = 4) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(_conv(c_in, c_out), _conv(c_out, c_out))
            for c_in, c_out in zip(inputs, widths, strict=True)
        )
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, above, 2, 2) for below, above in pairs)
        self.join = nn.ModuleList(
            nn.Sequential(_conv(2 * above, above), _conv(above, above)) for _, above in pairs
        )
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of every pixel."""
        skips = []
        for level, down in enumerate(self.down):
            x = down(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            x = join(torch.cat([skip, up(x)], 1))
        out: Tensor = self.head(x)
        return out


class FeaturePyramid(nn.Module):
    """Strided convolutions whose maps are summed from the coarsest to the finest (arXiv:1612.03144).

    Args:
        widths: Channels by level, from the finest.
        pyramid: Channels of the pyramid.
        classes: Channels of the output.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128), pyramid: int = 64, classes: int = 4) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.trunk = nn.ModuleList(
            nn.Sequential(_conv(c_in, c_out, stride=2), _conv(c_out, c_out))
            for c_in, c_out in zip(inputs, widths, strict=True)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in widths)
        self.smooth = _conv(pyramid, pyramid)
        self.head = nn.Conv2d(pyramid, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of every second pixel."""
        maps = []
        for stage in self.trunk:
            x = stage(x)
            maps.append(x)
        sides = [lateral(found) for lateral, found in zip(self.lateral, maps, strict=True)]
        x = sides[-1]
        for side in sides[-2::-1]:
            x = side + F.interpolate(x, scale_factor=2.0, mode="nearest")
        out: Tensor = self.head(self.smooth(x))
        return out


class DeepLab(nn.Module):
    """Dilated residual blocks and pooling at several rates, joined with a fine map (arXiv:1802.02611).

    Args:
        width: Channels of the finest map; the trunk has four times as many.
        classes: Channels of the output.
    """

    def __init__(self, width: int = 32, classes: int = 4) -> None:
        super().__init__()
        wide = 4 * width
        self.stem = nn.Sequential(_conv(3, width, stride=2), _conv(width, width))
        self.enter = nn.Sequential(_conv(width, 2 * width, stride=2), _conv(2 * width, wide, stride=2))
        self.dilated = nn.ModuleList(_conv(wide, wide, dilation=rate) for rate in (2, 2))
        self.rates = nn.ModuleList(_conv(wide, width, 3, dilation=rate) for rate in (1, 3, 6))
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, width, 1), nn.ReLU())
        self.project = _conv(4 * width, 2 * width, 1)
        self.fine = _conv(width, width, 1)
        self.decode = _conv(3 * width, 2 * width)
        self.head = nn.Conv2d(2 * width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of every second pixel."""
        fine = self.stem(x)
        x = self.enter(fine)
        for block in self.dilated:
            x = x + block(x)
        size = x.shape[-2:]
        pooled = F.interpolate(self.image(x), size=size, mode="nearest")
        x = self.project(torch.cat([*(rate(x) for rate in self.rates), pooled], 1))
        x = F.interpolate(x, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        out: Tensor = self.head(self.decode(torch.cat([self.fine(fine), x], 1)))
        return out


class TemporalConvolutions(nn.Module):
    """Residual dilated convolutions over a signal, for its class (arXiv:1803.01271).

    Args:
        channels: Of the signal.
        width: Channels inside.
        dilations: Of the blocks.
        classes: Outputs.
    """

    def __init__(
        self,
        channels: int = 8,
        width: int = 96,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv1d(channels, width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Conv1d(width, width, 1),
            )
            for dilation in dilations
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        x = F.max_pool1d(torch.relu(self.stem(x)), 2)
        for block in self.blocks:
            x = torch.relu(x + block(x))
        out: Tensor = self.head(x.mean(2))
        return out


class TextReader(nn.Module):
    """Convolutions that flatten a line of text, and a recurrent layer along it (arXiv:1507.05717).

    Args:
        widths: Channels of the convolutions.
        hidden: Channels of the recurrent layer.
        classes: Outputs of every column.
    """

    def __init__(
        self, widths: tuple[int, int, int] = (32, 64, 96), hidden: int = 96, classes: int = 10
    ) -> None:
        super().__init__()
        one, two, three = widths
        self.layers = nn.Sequential(
            *(_conv(1, one), nn.MaxPool2d(2)),
            *(_conv(one, two), nn.MaxPool2d((2, 2), (2, 1), (0, 1))),
            *(_conv(two, three, stride=(2, 1)), nn.AvgPool2d((4, 1))),
        )
        self.rows = nn.LSTM(three, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes, the mean over the columns."""
        columns = self.layers(x).flatten(1, 2).transpose(1, 2)
        out: Tensor = self.head(self.rows(columns)[0]).mean(1)
        return out


class VolumeUNet(nn.Module):
    """Two levels of a U-Net over volumes (arXiv:1606.06650).

    Args:
        channels: Of the volume.
        widths: Channels by level, from the finest.
        classes: Channels of the output.
    """

    def __init__(self, channels: int = 1, widths: tuple[int, int] = (32, 64), classes: int = 4) -> None:
        super().__init__()
        fine, coarse = widths
        self.fine = nn.Sequential(nn.Conv3d(channels, fine, 3, padding=1), nn.ReLU())
        self.coarse = nn.Sequential(nn.Conv3d(fine, coarse, 3, stride=2, padding=1), nn.ReLU())
        self.inner = nn.Sequential(nn.Conv3d(coarse, coarse, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose3d(coarse, fine, 2, stride=2)
        self.head = nn.Conv3d(2 * fine, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of every voxel."""
        fine = self.fine(x)
        up = torch.relu(self.up(self.inner(self.coarse(fine))))
        out: Tensor = self.head(torch.cat([fine, up], 1))
        return out
