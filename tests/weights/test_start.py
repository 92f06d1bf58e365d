import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.bundle import Bundle, make_network
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config, Weights
from pipeline.dataset.files import sha256
from pipeline.dataset.manifest import Manifest
from pipeline.model.layers import CappedConv2d, constrain
from pipeline.weights.freezing import freeze
from pipeline.weights.pretrained import Pretrained
from pipeline.weights.start import load, start_from_weights
from tests.conftest import Compose
from tests.model.measures import option

CLASSES = ["top", "middle", "bottom"]


class Net(nn.Module):
    """Convolutions that are called alike, batch norm, and scores; with an auxiliary module where wanted."""

    def __init__(self, channels: int = 3, classes: int = 3, auxiliary: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(channels, 4, 3, bias=False), nn.BatchNorm2d(4))
        self.conv1_2 = nn.Conv2d(4, 4, 3)
        self.conv10 = nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, classes)
        if auxiliary:
            self.aux1 = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv10(self.conv1_2(self.conv1(images))).mean(dim=(2, 3)))


def given(network: nn.Module, classes: list[str] | None = None) -> Pretrained:
    return Pretrained({name: tensor.clone() for name, tensor in network.state_dict().items()}, classes)


def unchanged(network: nn.Module, source: Pretrained, but: tuple[str, ...] = ()) -> bool:
    """Tell whether exactly the tensors whose names begin otherwise than `but` are the source's."""
    state = network.state_dict()
    return all(
        (name in source.tensors and torch.equal(state[name], source.tensors[name])) != name.startswith(but or ("-",)) for name in state
    )


def test_weights_of_the_same_network_are_taken_as_they_are() -> None:
    torch.manual_seed(0)
    source, network = given(Net()), Net()
    assert load(network, source, CLASSES, "ours") == []
    assert unchanged(network, source)


def test_scores_of_another_number_of_classes_keep_their_first_values() -> None:
    torch.manual_seed(0)
    source, network = given(Net(classes=10)), Net()
    before = network.fc.weight.clone()
    assert load(network, source, CLASSES, "ours") == ["fc: newly initialized for 3 classes in place of the weights for 10 others"]
    assert unchanged(network, source, but=("fc",))
    assert torch.equal(network.fc.weight, before)


def test_scores_of_as_many_other_classes_keep_their_first_values_where_the_source_tells_its_classes() -> None:
    torch.manual_seed(0)
    trained = Net()
    network = Net()
    lines = load(network, given(trained, ["cat", "dog", "bird"]), CLASSES, "ours")
    assert lines == ["fc: newly initialized for 3 classes in place of the weights for 3 others"]
    assert not torch.equal(network.fc.weight, trained.fc.weight)
    assert load(network, given(trained, CLASSES), CLASSES, "ours") == []
    assert torch.equal(network.fc.weight, trained.fc.weight)


@pytest.mark.parametrize(
    ("theirs", "classes", "words"),
    [
        (1, ["cat", "dog"], "one output in place of the weights for one output of other classes"),
        (2, ["cat", "dog"], "one output in place of the weights for 2 outputs of other classes"),
        (2, ["no", "yes"], "one output in place of the weights for 2 outputs"),
        (1000, None, "one output in place of the weights for 1000 outputs"),
    ],
)
def test_one_output_of_two_classes_keeps_its_first_values_beside_weights_for_other_outputs(
    theirs: int, classes: list[str] | None, words: str
) -> None:
    network = Net(classes=1)
    before = network.fc.weight.clone()
    assert load(network, given(Net(classes=theirs), classes), ["no", "yes"], "ours") == [f"fc: newly initialized for {words}"]
    assert torch.equal(network.fc.weight, before)


def test_one_output_is_taken_for_the_same_two_classes() -> None:
    trained, network = Net(classes=1), Net(classes=1)
    assert load(network, given(trained, ["no", "yes"]), ["no", "yes"], "ours") == []
    assert torch.equal(network.fc.weight, trained.fc.weight)


def test_lenet5_keeps_all_it_learnt_of_other_classes_as_its_scores_have_no_weights(composed: Compose) -> None:
    torch.manual_seed(0)
    trained, network = (option(composed, "lenet5", 32, channels=1) for _ in range(2))
    digits, clothes = ([f"{kind} {number}" for number in range(10)] for kind in ("digit", "cloth"))
    source = given(trained, digits)
    assert load(network, source, clothes, "ours") == [
        "the network has no head with weights: all layers keep what they learnt from other classes"
    ]
    assert unchanged(network, source)
    assert load(network, source, digits, "ours") == []


def test_lenet5_s_last_layer_with_weights_can_be_frozen_but_not_all_of_them(composed: Compose) -> None:
    network = option(composed, "lenet5", 32, channels=1)
    freeze(network, ["f6"])
    assert [name for name, parameter in network.named_parameters() if not parameter.requires_grad] == ["f6.weight", "f6.bias"]
    with pytest.raises(ConfigError, match=r"weights\.freeze=\['c1', 's2', 'c3', 's4', 'c5', 'f6'\] leaves no trainable layer"):
        freeze(network, ["c1", "s2", "c3", "s4", "c5", "f6"])


def test_auxiliary_scores_are_scores_too() -> None:
    torch.manual_seed(0)
    source, network = given(Net(classes=10, auxiliary=True)), Net(auxiliary=True)
    assert [line.split(":")[0] for line in load(network, source, CLASSES, "ours")] == ["fc", "aux1.1"]
    assert unchanged(network, source, but=("fc", "aux1.1"))


def test_auxiliary_scores_of_one_side_alone_are_left_as_they_are() -> None:
    torch.manual_seed(0)
    with_auxiliary, without = Net(auxiliary=True), Net()
    source = given(with_auxiliary)
    assert load(without, source, CLASSES, "ours") == ["aux1: left out, the network has no such auxiliary classifier"]
    assert unchanged(without, source)
    before = with_auxiliary.aux1[0].weight.clone()
    assert load(with_auxiliary, given(Net()), CLASSES, "ours") == ["aux1: newly initialized, the source has no such auxiliary classifier"]
    assert torch.equal(with_auxiliary.aux1[0].weight, before)


def test_gray_images_are_seen_by_colour_filters_as_their_copy_in_three_colours() -> None:
    torch.manual_seed(0)
    colour, gray = Net().eval(), Net(channels=1).eval()
    assert load(gray, given(colour), CLASSES, "ours") == ["conv1.0.weight: summed over the colours, as the images are gray"]
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(gray(images), colour(images.expand(-1, 3, -1, -1)))


def test_files_without_batch_norm_s_counters_fit() -> None:
    source = given(Net())
    del source.tensors["conv1.1.num_batches_tracked"]
    assert load(Net(), source, CLASSES, "ours") == []


def test_what_does_not_fit_is_refused_with_the_first_tensors_of_each_kind_and_nothing_is_taken() -> None:
    torch.manual_seed(0)
    source, network = given(Net()), Net()
    before = given(network)
    for name in ("conv1_2.weight", "conv1_2.bias", "conv10.weight", "conv10.bias"):
        source.tensors[f"other.{name}"] = source.tensors.pop(name)
    source.tensors["conv1.1.weight"] = torch.zeros(5)
    network.notes = ["small variant for images of 32x32 pixels"]
    with pytest.raises(ConfigError) as caught:
        load(network, source, CLASSES, "ours")
    assert str(caught.value) == (
        "weights.source does not fit the network, tensors: 4 missing (conv1_2.weight, conv1_2.bias, conv10.weight, …); "
        "4 unexpected (other.conv1_2.weight, other.conv1_2.bias, other.conv10.weight, …); "
        "1 of another shape (conv1.1.weight (5,), not (4,)). Choose the model that they belong to; small variant for images of 32x32 pixels"
    )
    assert unchanged(network, before)


def test_scores_of_other_inputs_are_refused_not_swapped() -> None:
    source = given(Net())
    source.tensors["fc.weight"] = torch.zeros(10, 5)
    with pytest.raises(ConfigError, match=r"1 of another shape \(fc\.weight \(10, 5\), not \(3, 4\)\)"):
        load(Net(), source, CLASSES, "ours")


def test_gray_filters_for_colour_images_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"1 of another shape \(conv1\.0\.weight \(4, 1, 3, 3\), not \(4, 3, 3, 3\)\)"):
        load(Net(), given(Net(channels=1)), CLASSES, "ours")


def test_frozen_layers_are_those_whose_names_begin_so_up_to_a_dot_an_underscore_or_their_end() -> None:
    network = Net()
    freeze(network, ["conv1"])
    frozen = {name.partition(".")[0] for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1", "conv1_2"}
    assert {name.partition(".")[0] for name, layer in network.named_modules() if name and not layer.training} == frozen


def test_a_constraint_does_not_touch_frozen_filters() -> None:
    network = nn.Sequential(CappedConv2d(1, 2, 3, max_rms=0.1), CappedConv2d(2, 2, 3, max_rms=0.1), nn.Linear(2, 2))
    nn.init.ones_(network[0].weight)
    nn.init.ones_(network[1].weight)
    freeze(network, ["0"])
    constrain(network)
    assert network[0].weight.unique().tolist() == [1]
    assert network[1].weight.unique().tolist() == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("prefix", "hint"),
    [("conv11", "; the nearest are conv1"), ("1", "; the nearest are conv1.1"), ("xyzzy", "; there are conv1, conv1_2, conv10, fc")],
)
def test_a_name_that_no_layer_begins_with_is_refused_with_the_nearest(prefix: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"weights\.freeze: no layer's name begins with {prefix}{re.escape(hint)}"):
        freeze(Net(), ["conv10", prefix])


@pytest.mark.parametrize("prefix", ["fc", "aux1"])
def test_what_makes_the_scores_can_t_be_frozen(prefix: str) -> None:
    with pytest.raises(ConfigError, match=rf"weights\.freeze includes the output layer {prefix}[.\d]*, which has to learn; leave it out"):
        freeze(Net(auxiliary=True), [prefix])


@pytest.fixture
def network(cfg: Config, manifest: Manifest) -> nn.Module:
    torch.manual_seed(1)
    return make_network(cfg.model, manifest, None)


def test_by_default_a_network_begins_with_its_first_values_and_nothing_is_said(cfg: Config, network: nn.Module, tmp_path: Path) -> None:
    before = given(network)
    assert start_from_weights(cfg, network, CLASSES, tmp_path) == []
    assert unchanged(network, before)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_a_training_begins_with_is_said(cfg: Config, network: nn.Module, bundle_folder: Path) -> None:
    digest = sha256(bundle_folder / "bundle.json")
    cfg.weights = Weights("bundle", "bundle", digest, "ours", ["layers.conv"])
    assert start_from_weights(cfg, network, CLASSES, bundle_folder.parent) == [
        f"small starts from the weights of bundle, sha256 {digest}",
        "frozen: layers.conv; 387 of 467 parameters learn",
    ]
    trained = Bundle.read(bundle_folder).network
    assert unchanged(network, given(trained))


def test_first_values_can_be_frozen_too(cfg: Config, network: nn.Module, tmp_path: Path) -> None:
    cfg.weights.freeze = ["layers.conv"]
    assert start_from_weights(cfg, network, CLASSES, tmp_path) == ["frozen: layers.conv; 387 of 467 parameters learn"]


def test_a_state_dict_of_a_file_fills_the_network(cfg: Config, network: nn.Module, manifest: Manifest, tmp_path: Path) -> None:
    torch.manual_seed(2)
    other = given(make_network(cfg.model, manifest, None))
    save_file(other.tensors, tmp_path / "net.safetensors")
    cfg.weights = Weights("file", "net.safetensors", sha256(tmp_path / "net.safetensors"), "torchvision", [])
    start_from_weights(cfg, network, CLASSES, tmp_path)
    assert unchanged(network, other)
