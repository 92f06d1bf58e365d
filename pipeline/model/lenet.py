"""LeNet as the tutorials draw it: convolution, pooling, convolution, pooling, three fully connected layers.

Source: Karn, "An Intuitive Explanation of Convolutional Neural Networks", after Harley's visualisation;
the 1998 network is LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition"."""

from collections.abc import Sequence

from torch import Tensor, nn

KERNEL, POOL = 5, 2  # pixels


class LeNet(nn.Module):
    """6@5x5, pool, 16@5x5, pool, 120, 100, classes; at 32x32 the maps go 28, 14, 10, 5."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int = 32,
        filters: Sequence[int] = (6, 16),
        units: Sequence[int] = (120, 100),
    ) -> None:
        super().__init__()
        side = image_size
        for _ in filters:
            side = (side - KERNEL + 1) // POOL
        if side < 1:
            smallest = (POOL + KERNEL - 1) * POOL + KERNEL - 1
            raise ValueError(f"{image_size}x{image_size} images shrink to nothing; resize.size must be {smallest} or more")
        first, second = filters
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, first, KERNEL),
            nn.ReLU(),
            nn.MaxPool2d(POOL),
            nn.Conv2d(first, second, KERNEL),
            nn.ReLU(),
            nn.MaxPool2d(POOL),
        )
        hidden, last = units
        self.classifier = nn.Sequential(
            nn.Linear(second * side * side, hidden),
            nn.ReLU(),
            nn.Linear(hidden, last),
            nn.ReLU(),
            nn.Linear(last, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)  # (B, 16, side, side)
        return self.classifier(maps.flatten(1))  # (B, num_classes)
