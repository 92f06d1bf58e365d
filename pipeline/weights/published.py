"""Which of our models a published state dict is of, told by its number of weights: ImageNet's 1,000 classes, images of 224 pixels."""

from torch import Tensor

MEASURED = ("running_mean", "running_var", "num_batches_tracked")  # batch norm's, which are no weights
MODELS = {  # weights, those of auxiliary scores left out; torchvision's and timm's alike
    61_100_840: "alexnet_one_tower",
    132_863_336: "vgg11",
    132_868_840: "vgg11_bn",
    133_047_848: "vgg13",
    133_053_736: "vgg13_bn",
    138_357_544: "vgg16",
    138_365_992: "vgg16_bn",
    143_667_240: "vgg19",
    143_678_248: "vgg19_bn",
    6_624_904: "googlenet_torchvision",
    11_689_512: "resnet18",
    21_797_672: "resnet34",
    25_557_032: "resnet50",
    44_549_160: "resnet101",
    60_192_808: "resnet152",
    68_883_240: "wide_resnet50_2",
    7_978_856: "densenet121",
    14_149_480: "densenet169",
    20_013_928: "densenet201",
    28_681_000: "densenet161",
}


def published_model(tensors: dict[str, Tensor]) -> str | None:
    """Return the name of the model whose weights these are, None for others."""
    weights = (value for name, value in tensors.items() if not name.endswith(MEASURED) and not name.startswith("aux"))
    return MODELS.get(sum(value.numel() for value in weights))
