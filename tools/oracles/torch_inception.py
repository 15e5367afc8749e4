"""Inception v3 by the names that torchvision's state dict has, for a PyTorch that stands alone. Blocks are those of Szegedy et al., "Rethinking
the Inception Architecture" (2016), figures 5 to 7, with torchvision's average pooling that counts the padding; no auxiliary head.
"""
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, channels, out, kernel, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Block(nn.Module):
    """Branches of units, each a list of (name, out, kernel, stride, padding) one after another, beside a pooled one; joined by channels.

    Where a branch's last entry is a tuple of units, these read the same and stand side by side.
    """

    def __init__(self, channels, branches, pooled):
        super().__init__()
        self.paths = []
        for branch in branches:
            path, c = [], channels
            for entry in branch:
                beside = entry if isinstance(entry[0], tuple) else (entry,)
                for name, *unit in beside:
                    setattr(self, name, Unit(c, *unit))
                path.append([name for name, *_ in beside])
                c = beside[-1][1]
            self.paths.append(path)
        self.pooled = pooled
        if pooled:
            self.branch_pool = Unit(channels, pooled, 1)

    def forward(self, x):
        outputs = []
        for path in self.paths:
            y = x
            for names in path:
                y = torch.cat([getattr(self, name)(y) for name in names], 1)
            outputs.append(y)
        outputs.append(self.branch_pool(avg_pool2d(x, 3, 1, 1)) if self.pooled else max_pool2d(x, 3, 2))
        return torch.cat(outputs, 1)


wide, tall = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))


def block_a(channels, pooled):
    return Block(channels, [
        [('branch1x1', 64, 1)], [('branch5x5_1', 48, 1), ('branch5x5_2', 64, 5, 1, 2)],
        [('branch3x3dbl_1', 64, 1), ('branch3x3dbl_2', 96, 3, 1, 1), ('branch3x3dbl_3', 96, 3, 1, 1)]], pooled)


def block_c(c):
    return Block(768, [
        [('branch1x1', 192, 1)], [('branch7x7_1', c, 1), ('branch7x7_2', c, *wide), ('branch7x7_3', 192, *tall)],
        [('branch7x7dbl_1', c, 1), ('branch7x7dbl_2', c, *tall), ('branch7x7dbl_3', c, *wide), ('branch7x7dbl_4', c, *tall),
         ('branch7x7dbl_5', 192, *wide)]], 192)


def block_e(channels):
    sides = lambda name: ((name + 'a', 384, (1, 3), 1, (0, 1)), (name + 'b', 384, (3, 1), 1, (1, 0)))
    return Block(channels, [
        [('branch1x1', 320, 1)], [('branch3x3_1', 384, 1), sides('branch3x3_2')],
        [('branch3x3dbl_1', 448, 1), ('branch3x3dbl_2', 384, 3, 1, 1), sides('branch3x3dbl_3')]], 192)


class InceptionV3(nn.Sequential):
    def __init__(self):
        super().__init__()
        parts = {
            'Conv2d_1a_3x3': Unit(3, 32, 3, 2), 'Conv2d_2a_3x3': Unit(32, 32, 3), 'Conv2d_2b_3x3': Unit(32, 64, 3, 1, 1),
            'maxpool1': nn.MaxPool2d(3, 2), 'Conv2d_3b_1x1': Unit(64, 80, 1), 'Conv2d_4a_3x3': Unit(80, 192, 3), 'maxpool2': nn.MaxPool2d(3, 2),
            'Mixed_5b': block_a(192, 32), 'Mixed_5c': block_a(256, 64), 'Mixed_5d': block_a(288, 64),
            'Mixed_6a': Block(288, [
                [('branch3x3', 384, 3, 2)], [('branch3x3dbl_1', 64, 1), ('branch3x3dbl_2', 96, 3, 1, 1), ('branch3x3dbl_3', 96, 3, 2)]], 0),
            'Mixed_6b': block_c(128), 'Mixed_6c': block_c(160), 'Mixed_6d': block_c(160), 'Mixed_6e': block_c(192),
            'Mixed_7a': Block(768, [
                [('branch3x3_1', 192, 1), ('branch3x3_2', 320, 3, 2)],
                [('branch7x7x3_1', 192, 1), ('branch7x7x3_2', 192, *wide), ('branch7x7x3_3', 192, *tall), ('branch7x7x3_4', 192, 3, 2)]], 0),
            'Mixed_7b': block_e(1280), 'Mixed_7c': block_e(2048), 'avgpool': nn.AdaptiveAvgPool2d(1),
        }
        for name, part in parts.items():
            self.add_module(name, part)
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x):
        *parts, last = self
        for part in parts:
            x = part(x)
        return last(x.flatten(1))
