"""Classifiers written as people write them, to be exported: none is of the zoo."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LeNet5(nn.Module):
    """LeNet-5 by functional calls, reshaped by `view(-1, ...)`, with a log-softmax at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.view(-1, 400)))
        x = self.dropout(functional.relu(self.fc2(x)))
        return functional.log_softmax(self.fc3(x), dim=1)


class SamePadded(nn.Module):
    """Strided convolutions whose padding is computed for TensorFlow's SAME, unevenly."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2) for a, b in ((3, 16), (16, 32), (32, 64)))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in (16, 32, 64))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.relu6(norm(conv(functional.pad(x, (0, 1, 0, 1)))))
        return self.head(x.mean(dim=[2, 3]))


def vgg_bn(classes: int = 10) -> nn.Module:
    """VGG with batch norm, three dense layers and dropout."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (16, 0, 32, 0, 64, 64, 0):
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(True)]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2, 2))
    head = (nn.Linear(1024, 128), nn.ReLU(True), nn.Dropout(), nn.Linear(128, classes))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d((4, 4)), nn.Flatten(), *head)


class Basic(nn.Module):
    """A residual block whose shortcut is a projection where sizes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        made = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(made + self.shortcut(x))


def resnet18_cifar(width: int = 16) -> nn.Module:
    """ResNet-18 for images of 32 x 32, narrow."""
    blocks: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    channels = width
    for outputs, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
        blocks += [Basic(channels, outputs, stride), Basic(outputs, outputs, 1)]
        channels = outputs
    return nn.Sequential(*blocks, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(channels, 10))


class DenseLayer(nn.Module):
    """Batch norm, ReLU and convolution, joined to what it read."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(functional.relu(self.norm(x)))], 1)


def densenet(growth: int = 8) -> nn.Module:
    """Three dense blocks of four layers, with transitions that halve channels and size."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    channels = 16
    for block in range(3):
        for _ in range(4):
            layers.append(DenseLayer(channels, growth))
            channels += growth
        if block < 2:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1, bias=False)]
            layers.append(nn.AvgPool2d(2))
            channels //= 2
    head = (
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 10),
    )
    return nn.Sequential(*layers, *head)


class Inverted(nn.Module):
    """MobileNetV2's block: expand, depthwise, project, and the sum without a ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *(nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(True)),
            *(
                nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU6(True),
            ),
            *(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def mobilenetv2() -> nn.Module:
    """MobileNetV2 of six blocks, for images of 32 x 32."""
    rows = ((16, 16, 1, 4), (16, 24, 2, 4), (24, 24, 1, 4), (24, 32, 2, 4), (32, 32, 1, 4), (32, 64, 2, 4))
    stem = (nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(True))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10))
    return nn.Sequential(*stem, *(Inverted(*row) for row in rows), *head)


class Fire(nn.Module):
    """SqueezeNet's block: one convolution, and two beside each other."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.small, self.large = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.small(x)), functional.relu(self.large(x))], 1)


def squeezenet() -> nn.Module:
    """SqueezeNet that ends in a convolution and an average, with a softmax."""
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        *(
            nn.Conv2d(3, 32, 3, 1, 1),
            nn.ReLU(),
            pool,
            Fire(32, 8, 32),
            Fire(64, 8, 32),
            pool,
            Fire(64, 16, 64),
        ),
        *(
            nn.Dropout(),
            nn.Conv2d(128, 10, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Softmax(1),
        ),
    )


class Inception(nn.Module):
    """GoogLeNet's block: four branches, one with a max pool of stride 1."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(inputs, width, 1), nn.Conv2d(inputs, width, 3, padding=1)
        self.five, self.pooled = nn.Conv2d(inputs, width, 5, padding=2), nn.Conv2d(inputs, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(functional.max_pool2d(x, 3, 1, 1))
        return functional.relu(torch.cat([self.one(x), self.three(x), self.five(x), pooled], dim=1))


def inception() -> nn.Module:
    """Two inception blocks between pools."""
    stem = (nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Inception(16, 8), nn.MaxPool2d(2))
    return nn.Sequential(*stem, Inception(32, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
