"""The features of an image: what the layer that gives the scores takes; images that are alike to the network have alike features."""

import warnings
from itertools import chain

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from pipeline.model.forward_pass import hooked

COMPONENTS = 50  # of the features that t-SNE gets, as its authors do: the rest costs time
PERPLEXITY = 30  # neighbours that a point of a map is held near, about: van der Maaten and Hinton, JMLR 9, 2008, find 5 to 50 alike
SPARSE = 4  # points per such neighbour at least, with fewer points fewer neighbours count


def last_features(network: nn.Module, images: Tensor) -> Tensor:
    """Return the features, (B, features), of normalised images, (B, C, H, W). The network must be in evaluation mode.

    Of a layer that takes maps they are the means over each map."""
    weighted = {name: layer for name, layer in network.named_modules() if _is_weighted(layer)}
    taken: list[Tensor] = [images]  # by a network without weights
    with hooked(weighted, before=lambda _, arguments: taken.append(arguments[0])), torch.no_grad():
        network(images)
    last = taken[-1].float()
    return last.flatten(2).mean(dim=2) if last.ndim > 2 else last


def _is_weighted(layer: nn.Module) -> bool:
    return any(tensor.ndim > 1 for tensor in chain(layer.parameters(recurse=False), layer.buffers(recurse=False)))


class Nearest:
    """The most similar of many images to each of some, found batch by batch, the most similar first.

    queries: their features, (Q, features). most: images kept of each."""

    def __init__(self, queries: Tensor, most: int) -> None:
        self.queries = nn.functional.normalize(queries)
        self.most = most
        self.cosines = torch.empty(len(queries), 0)  # (Q, most)
        self.images = torch.empty(len(queries), 0, dtype=torch.int64)  # (Q, most): their numbers

    def add(self, features: Tensor, first: int) -> None:
        """Look at a batch of features, (B, features), of images that are numbered from `first`; of equal ones the first comes first."""
        cosines = torch.cat([self.cosines, self.queries @ nn.functional.normalize(features).T], dim=1)
        numbers = torch.arange(first, first + len(features)).expand(len(self.queries), -1)
        images = torch.cat([self.images, numbers], dim=1)
        order = cosines.argsort(dim=1, descending=True, stable=True)[:, : self.most]
        self.cosines, self.images = cosines.gather(1, order), images.gather(1, order)


def flat_map(features: Tensor) -> Tensor:
    """Return places on a map, (N, 2) in [0, 1], on which images with alike features lie near each other: t-SNE.

    features: (N, features). Of few images, or without differences, it is the first two principal components."""
    from sklearn.manifold import TSNE  # a second

    perplexity = min(PERPLEXITY, len(features) // SPARSE)
    found = _principal(features, COMPONENTS)
    places = nn.functional.pad(found, (0, 2))[:, :2]
    if perplexity and (deviation := places[:, 0].std().item()) > 0:  # t-SNE of images that are all alike crashes
        start = (places * 1e-4 / deviation).numpy()  # as init="pca" does, which wants two features
        with threadpool_limits(1), warnings.catch_warnings():  # several threads would sum in any order
            warnings.simplefilter("ignore")
            places = torch.from_numpy(TSNE(perplexity=perplexity, init=start, random_state=0).fit_transform(found.numpy()))
    low, high = places.amin(dim=0), places.amax(dim=0)
    return (places - low) / (high - low).clamp(min=1e-9)


def _principal(features: Tensor, most: int) -> Tensor:
    centred = (features - features.mean(dim=0)).double()
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    return (left * sizes)[:, :most].float()
