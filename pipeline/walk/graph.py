"""Trace a trained network to the steps that the page computes, by torch.fx: parallel branches and sums as well as sequences."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from pipeline.analysis.activations import label_of
from pipeline.model.layer_rows import shared_prefix
from pipeline.walk.steps import Made, Source, UnsupportedError
from pipeline.walk.translation import FUNCTIONS, translation_of

# Steps that come from a function in a `forward`, in words.
WORDS = {
    "conv": "convolution",
    "linear": "fully connected",
    "max_pool": "max pooling",
    "average_pool": "average pooling",
    "lp_pool": "pooling by powers",
    "adaptive_average_pool": "mean of each map",
    "adaptive_max_pool": "largest of each map",
    "flatten": "flattening",
    "pad": "border",
    "concat": "concatenation",
    "add": "sum",
    "affine": "scaled and shifted",
}


@dataclass(frozen=True)
class Step:
    """A step of the page, by which a network computes."""

    name: str  # of the layer, without the prefix that all share; for a function in `forward` that of its module, and its own
    label: str  # what it does, in words
    made: Made
    shape: tuple[int, ...]  # of its output of one image: (C, H, W), or (features,)


def steps_of(network: nn.Module, image: Tensor) -> list[Step]:
    """Return the steps of a network in evaluation mode, in order; the first is the image, the last gives the scores.

    image: (1, C, H, W), preprocessed. Raises UnsupportedError, naming what the page lacks."""
    with torch.inference_mode():
        steps = recorded(network, image).steps
    names = [step.name for step in steps[1:]]
    shared = len(shared_prefix(names)) if len(names) > 1 else 0
    return [steps[0], *(replace(step, name=step.name[shared:]) for step in steps[1:])]


def recorded(network: nn.Module, image: Tensor) -> "Recorder":
    """Run a network on an image, (1, C, H, W), step by step. Raises UnsupportedError."""
    tracer = LayerTracer()
    try:
        graph = tracer.trace(network)
    except Exception as error:  # whatever a `forward` does that depends on values
        raise UnsupportedError(f"torch.fx can't trace this network: {' '.join(str(error).split())}") from error
    recorder = Recorder(fx.GraphModule(tracer.root, graph))
    recorder.run(image)
    return recorder


class LayerTracer(fx.Tracer):
    """Traces into every module that does not translate as a whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module becomes a step."""
        return translation_of(m) is not None or super().is_leaf_module(m, module_qualified_name)


class Recorder(fx.Interpreter):
    """Runs a traced network on an image, and notes each step. What does not depend on the image becomes a constant."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.extra_traceback = False  # which would be added to what is raised
        self.steps: list[Step] = []
        self.sources: dict[fx.Node, Source] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, and note it if it is a tensor that depends on the image."""
        value = super().run_node(n)
        if n.op == "placeholder":
            self._note(n, "input", "the image", Made("input", []), value)
        elif n.op != "output" and isinstance(value, Tensor) and any(node in self.sources for node in n.all_input_nodes):
            self._translate(n, value)
        return value

    def _translate(self, n: fx.Node, value: Tensor) -> None:
        name, label = self._name(n), self._label(n)
        arguments, options = self._given(n.args), self._given(n.kwargs)
        translate = translation_of(self.submodules[str(n.target)]) if n.op == "call_module" else FUNCTIONS.get(n.target)
        if translate is None:
            raise UnsupportedError(f"{name} ({label})")
        try:
            made = translate(*([self.submodules[str(n.target)]] if n.op == "call_module" else []), *arguments, **options)
        except UnsupportedError as error:
            raise UnsupportedError(f"{name} ({error})") from error
        if isinstance(made, Source):
            self.sources[n] = made
        else:
            self._note(n, name, label if n.op == "call_module" else WORDS.get(made.op, label), made, value)

    def _given(self, arguments: Any) -> Any:
        """Return arguments with sources, or constants, in place of nodes."""
        return fx.map_arg(arguments, lambda node: self.sources.get(node, self.env[node]))

    def _note(self, n: fx.Node, name: str, label: str, made: Made, value: Tensor) -> None:
        shape = tuple(value.shape[1:])
        self.sources[n] = Source(len(self.steps), shape)
        self.steps.append(Step(name, label, made, shape))

    def _name(self, n: fx.Node) -> str:
        if n.op == "call_module":
            return str(n.target)
        scopes = list(n.meta.get("nn_module_stack") or {})
        return f"{scopes[-1]}.{n.name}" if scopes and scopes[-1] else n.name

    def _label(self, n: fx.Node) -> str:
        if n.op == "call_module":
            return label_of(self.submodules[str(n.target)])
        return n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
