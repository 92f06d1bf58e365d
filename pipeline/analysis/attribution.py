"""Why a network answers as it does for an image: saliency, guided backprop, integrated gradients, Grad-CAM.

Images are normalised, (B, C, H, W): 0 is the mean of the training images. Scores are those before the softmax."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.analysis.activations import family
from pipeline.analysis.gradients import GUIDED, Unit, input_gradient
from pipeline.model.forward_pass import hooked

STEPS = 64  # of the integral from the mean image to the image
BATCH = 16  # of these steps at once


def saliency(network: nn.Module, images: Tensor, target: int) -> Tensor:
    """Return how strongly the class's score reacts to each pixel, in either direction: (B, H, W).

    The largest absolute derivative of the pixel's channels (Simonyan et al., arXiv:1312.6034, section 3)."""
    return input_gradient(network, images, Unit(target)).abs().amax(dim=1)


def guided_backprop(network: nn.Module, images: Tensor, target: int) -> Tensor:
    """Return what of the image excites the units that excite the class, (B, C, H, W) (Springenberg et al., arXiv:1412.6806).

    Without a ReLU it is the gradient."""
    return input_gradient(network, images, Unit(target), GUIDED)


def integrated_gradients(network: nn.Module, image: Tensor, target: int, steps: int = STEPS) -> Tensor:
    """Return how much each value of an image adds to the class's score, compared with the mean image: (1, C, H, W).

    They sum to the difference of the two scores, but for the error of `steps` midpoints (Sundararajan et al., arXiv:1703.01365).
    image: (1, C, H, W)."""
    shares = (torch.arange(steps, dtype=image.dtype) + 0.5) / steps
    path = shares[:, None, None, None] * image  # (steps, C, H, W)
    gradients = torch.cat([input_gradient(network, part, Unit(target)) for part in path.split(BATCH)])
    return image * gradients.mean(dim=0, keepdim=True)


def grad_cam(network: nn.Module, layer: nn.Module, image: Tensor, target: int) -> Tensor:
    """Return where the layer's maps speak for the class, (H, W) of the image, 0 or more (Selvaraju et al., arXiv:1610.02391).

    ReLU(sum of weight x map), the weight being the mean derivative of the score by the map's values. image: (1, C, H, W)."""
    seen: list[Tensor] = []
    with torch.enable_grad(), hooked({"layer": layer}, after=lambda _, output: seen.append(output)):
        score = network(image.detach().clone().requires_grad_())[0, target]
    maps = seen[-1]  # (1, maps, h, w)
    [gradient] = torch.autograd.grad(score, maps)
    heat = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu()
    return F.interpolate(heat.detach(), image.shape[2:], mode="bilinear", align_corners=False)[0, 0]


def last_maps(network: nn.Module, image: Tensor) -> nn.Module | None:
    """Return the last layer, poolings aside, whose output is maps of several pixels; None: there is none. image: (1, C, H, W)."""
    layers = {name: layer for name, layer in network.named_modules() if family(layer) not in (None, "pooling")}
    seen: list[str] = []

    def keep(name: str, output: Tensor) -> None:
        if output.ndim == 4 and output[0, 0].numel() > 1:
            seen.append(name)

    with hooked(layers, after=keep), torch.inference_mode():
        network(image)
    return layers[seen[-1]] if seen else None
