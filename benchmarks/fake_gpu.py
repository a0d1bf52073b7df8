"""Every system at a preset on a GPU that is not there: one step of each training, and the memory that it takes.

    python benchmarks/fake_gpu.py [PRESET=paper] [RDG_BATCH=24]      any other parameter of the study too

torch's fake tensors have a shape, a type and a device but no values. An operation on tensors of two devices fails as on
a real GPU, and one that asks for a value fails too: there a real GPU would wait. Counted is what tensors hold on the
GPU. Left out are workspaces of cuDNN and cuBLAS, what PyTorch's allocator rounds up or keeps, and CUDA itself, about
half a GiB; of a GRU the states that cuDNN keeps for its backward pass are counted by a formula.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import importlib
import itertools
import sys
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode, fake_tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from s2igan import rdg, sen
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, Settings, resolve
from s2igan.evaluation.fast_generator import FastGenerator
from s2igan.evaluation.feature_networks import InceptionV3, ProxyNetwork, fold_norms, freeze
from s2igan.reporting.cost import CLASSES, FRAMES
from s2igan.sen import SEN, characters
from s2igan.training import devices
from s2igan.training.batches import RDGBatch
from s2igan.training.rdg import RDGTraining
from s2igan.training.rdg_networks import make_generator
from s2igan.training.sen import sen_training_step
from s2igan.workflow.words import read_words

GIB = 2**30
COLUMNS = ("weights", "gradients", "optimisers", "activations", "peak")


class Memory(TorchDispatchMode):
    """Counts the bytes of all tensors on the GPU while they live, and the most at once; refuses copies from it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        made, read = (
            [x for x in tree_leaves(part) if isinstance(x, Tensor)] for part in (result, (args, kwargs))
        )  # fmt: skip
        if any(x.is_cuda for x in read) and not all(x.is_cuda for x in made):
            raise RuntimeError(f"{function} brings a tensor from the GPU to the CPU: the GPU would be waited for")
        for tensor in made:
            if tensor.is_cuda:
                self.count(tensor)
        return result

    def count(self, tensor: Tensor) -> None:
        """Counts a tensor's storage until it is freed, if it is new."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.seen:
            return
        self.seen.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.free, key, size)

    def free(self, key: int, size: int) -> None:
        """Called when a storage is freed."""
        self.seen.discard(key)
        self.now -= size


class Saved:
    """A tensor that a node of the graph keeps for its backward pass, until that has run."""

    read: list[Saved]

    def __init__(self, tensor: Tensor) -> None:
        self.tensor: Tensor | None = tensor

    def give(self) -> Tensor:
        """The tensor, for the node that is running."""
        Saved.read.append(self)
        assert self.tensor is not None, "a graph is passed backwards twice"
        return self.tensor


@torch.no_grad()
def backward(loss: Tensor, *_: Any, **__: Any) -> None:
    """`loss.backward()`, node by node from here: torch's own engine asks the driver for streams, and there is none."""
    gradients: dict[Any, list[Tensor | None]] = {loss.grad_fn: [torch.ones_like(loss)]}
    order = nodes(loss.grad_fn)
    for node in order:
        if (given := gradients.pop(node, None)) is None:
            continue
        if hasattr(node, "variable"):
            leaf, gradient = node.variable, given[0]
            if gradient is not None and gradient.device != leaf.device:
                raise RuntimeError(f"a parameter on {leaf.device} has a gradient on {gradient.device}")
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
            continue
        Saved.read = []
        found = node(*given) if callable(node) else [x for x in node.apply(*given) if x is not None]
        for saved in Saved.read:  # as the engine does
            saved.tensor = None
        Saved.read, given = [], None
        found = (found,) if isinstance(found, Tensor) else found
        for (after, place), gradient in zip(node.next_functions, found, strict=True):
            if after is not None and gradient is not None:
                add(gradients, after, place, gradient)
        found = gradient = None


def nodes(root: Any) -> list[Any]:
    """All nodes of a graph, each after those that give it gradients."""
    waiting, seen = [root], {root: 0}
    for node in waiting:
        for after, _ in node.next_functions:
            if after is not None:
                if after not in seen:
                    waiting.append(after)
                seen[after] = seen.get(after, 0) + 1
    numbers = itertools.count()
    order, ready = [], [(0, 0, root)]
    while ready:
        node = heapq.heappop(ready)[2]
        order.append(node)
        for after, _ in node.next_functions:
            if after is not None:
                seen[after] -= 1
                if not seen[after]:  # what was made last comes first
                    heapq.heappush(ready, (-after._sequence_nr(), next(numbers), after))
    return order


def add(gradients: dict[Any, list[Tensor | None]], node: Any, place: int, gradient: Tensor) -> None:
    """Adds a gradient to those of a node's output, in the type and shape of that output."""
    of_node = gradients.setdefault(node, [None] * len(node._input_metadata))
    wanted = node._input_metadata[place]
    if gradient.shape != torch.Size(wanted.shape):
        gradient = gradient.sum_to_size(wanted.shape)
    gradient = gradient.to(wanted.dtype)
    before = of_node[place]
    of_node[place] = gradient if before is None else before + gradient


class CudnnRNN(torch.autograd.Function):
    """In place of cuDNN's recurrent networks: outputs, and memory for the backward pass, of the right sizes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, network: nn.RNNBase, *weights: Tensor) -> Tensor:
        """Of each layer and direction it keeps the gates of each time step, and the outputs between layers."""
        out = network.hidden_size * (2 if network.bidirectional else 1)
        gates = 4 if isinstance(network, nn.GRU) else 1
        kept = [x.new_empty(*x.shape[:2], gates * out + (out if k else 0)) for k in range(network.num_layers)]
        ctx.save_for_backward(x, *weights, *kept)
        ctx.weights = len(weights)
        return x.new_empty(*x.shape[:2], out)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Empty gradients."""
        x, *weights = ctx.saved_tensors
        return torch.empty_like(x), None, *map(torch.empty_like, weights[: ctx.weights])


def fake_gru(gru: nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """In place of `sen.padded_gru`, whose packed sequences have shapes that depend on values."""
    assert not lengths.is_cuda, "to pack a sequence, a GPU would wait for its lengths"
    return fake_rnn(gru, x)[0]


def fake_rnn(network: nn.RNNBase, x: Tensor) -> tuple[Tensor, None]:
    """In place of the forward of a recurrent network, which asks cuDNN."""
    assert x.is_cuda and all(p.is_cuda for p in network.parameters()), "tensors of two devices"
    return CudnnRNN.apply(x, network, *network.parameters()), None


def convert(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """In place of `nn.Module._apply`, which exchanges the contents of tensors: fake ones are referred to elsewhere."""
    for child in module.children() if recurse else ():
        child._apply(change)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            changed = change(parameter.detach())
            module._parameters[name] = nn.Parameter(changed, parameter.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module


def copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy of a fake tensor for `copy.deepcopy`, which would copy all that it refers to."""
    twin = tensor.detach().clone()
    memo[id(tensor)] = twin = nn.Parameter(twin, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else twin
    return twin


@contextlib.contextmanager
def fake_gpu() -> Iterator[Memory]:
    """Inside, devices "cuda" are there and bf16 is native; tensors are fake. Yields what counts their memory."""
    memory = Memory()
    patches = [
        mock.patch.object(devices, "gpu_fault", lambda: ""),
        mock.patch.object(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True),
        mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        mock.patch.object(Tensor, "backward", backward),
        mock.patch.object(nn.Module, "_apply", convert),
        mock.patch.object(fake_tensor.FakeTensor, "__deepcopy__", copied, create=True),
        mock.patch.object(sen, "padded_gru", fake_gru),
        mock.patch.object(nn.RNN, "forward", fake_rnn),
        # Values of small tensors on the CPU, such as lengths, are known there: to ask for them makes no GPU wait.
        mock.patch.object(fake_tensor, "CONSTANT_NUMEL_LIMIT", 4096),
        mock.patch.object(importlib.import_module("torch.optim.adam"), "_get_value", lambda step: 1.0),
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for patch in patches:
            stack.enter_context(patch)
        for cached in (rdg.inside_of_taps, rdg.sums_of_taps):  # no fake tensor outside, no real one inside
            cached.cache_clear()
            stack.callback(cached.cache_clear)
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(memory)
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(Saved, Saved.give))
        yield memory


def backbone(settings: Settings) -> nn.Module:
    """The image network of a preset with random weights, on the GPU."""
    network = InceptionV3("random") if settings.data_backbone == "inception" else ProxyNetwork(100, {})
    return fold_norms(freeze(network)).to("cuda:0")


def store_of(classes: int) -> Any:
    """What a training step reads of a store: the class of each image and the split."""
    ids = np.arange(classes)
    return types.SimpleNamespace(classes=[str(k) for k in ids], image_class=ids, image_ids_of=lambda split: ids)


def captions_of(settings: Settings, batch: int, text: bool) -> tuple[Tensor, Tensor]:
    """Captions of mean length as an encoder takes them, and their lengths, on the CPU."""
    if text:
        return characters(["a small bird with a red head"] * batch)
    return torch.zeros(batch, FRAMES, 40), torch.tensor([FRAMES] * batch)


def sen_training(settings: Settings, network: nn.Module) -> tuple[list[nn.Module], list[Any], Callable[[], object]]:
    """Networks, optimisers and a step of a SEN system; `network`: the image network."""
    size, batch, text = settings.data_image_size, settings.sen_batch, SEN_SYSTEMS[settings.system]["text"]
    net = SEN(settings, network, CLASSES["cub"][0]).to("cuda:0").train()
    optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], settings.sen_lr)

    def step() -> object:
        images = torch.zeros(batch, size, size, 3, dtype=torch.uint8).to("cuda:0")
        captions, lengths = captions_of(settings, batch, text)
        labels = torch.zeros(batch, dtype=torch.int64).to("cuda:0")
        return sen_training_step(net, optimiser, images, captions.to("cuda:0"), lengths, labels, settings)

    return [net], [optimiser], step


def rdg_training(settings: Settings, network: nn.Module) -> tuple[list[nn.Module], list[Any], Callable[[], object]]:
    """Networks, optimisers and a step of an RDG system, as `training.rdg` makes them."""
    size, batch, joint = settings.data_image_size, settings.rdg_batch, RDG_SYSTEMS[settings.system]["sen"] is None
    net = SEN(settings, network, CLASSES["cub"][0])
    embeddings = None if joint else torch.zeros(batch, 2 * settings.sen_gru_size)
    training = RDGTraining(settings, store_of(CLASSES["cub"][0]), net, embeddings)
    ids = np.arange(batch)

    def step() -> object:
        pixels = torch.zeros(3, batch, size, size, 3, dtype=torch.uint8)
        captions = captions_of(settings, batch, text=False) if joint else None
        return training.step(0, RDGBatch(0, ids, ids, pixels, captions))

    parts = [part for part in training.parts().values() if isinstance(part, nn.Module)]
    return [*parts, net], list(training.optimisers.values()), step


def evaluation(settings: Settings, network: nn.Module) -> tuple[list[nn.Module], list[Any], Callable[[], object]]:
    """Images of a batch of captions in the form for generation, and what the image network makes of them."""
    size, batch = 2 * settings.sen_gru_size, settings.eval_batch
    generator = make_generator(settings.model_copy(update={"system": "S2IGAN"}), size).to("cuda:0").eval()

    @torch.no_grad()
    def step() -> object:
        sizes = settings.rdg_noise_size, size, settings.rdg_condition_size
        noise, speech, eps = (torch.zeros(batch, n).to("cuda:0") for n in sizes)
        return network(FastGenerator(generator)(noise, speech, eps)[0][-1])

    return [generator], [], step


def measured(make: Callable[..., Any], settings: Settings, network: nn.Module, memory: Memory) -> dict[str, float]:
    """GiB of a training: of weights, gradients and the optimisers' state, of all else, and of all together, at most."""
    gc.collect()
    before = memory.now - sum(p.nbytes for p in network.parameters())  # left by others
    networks, optimisers, step = make(settings, network)
    made = memory.most = memory.now
    step()
    parameters = {id(p): p for part in networks for p in part.parameters()}.values()
    gradients = sum(p.grad.nbytes for p in parameters if p.grad is not None)
    states = itertools.chain(*(state.values() for optimiser in optimisers for state in optimiser.state.values()))
    state = sum(x.nbytes for x in states if x.is_cuda)
    found = {"weights": made - before, "gradients": gradients, "optimisers": state, "peak": memory.most - before}
    found["activations"] = found["peak"] - found["weights"] - gradients - state
    return {name: found[name] / GIB for name in COLUMNS}


def table(given: dict[str, Any], systems: list[str] | None = None) -> dict[str, dict[str, float]]:
    """`measured` of each system, and of the evaluation, by name. Raises what a step raises.

    Args: given: parameters of the study. systems: by default all.
    """
    found = {}
    with fake_gpu() as memory:
        network = backbone(resolve(given))
        for name in systems or [*SEN_SYSTEMS, *RDG_SYSTEMS, "evaluation"]:
            make = sen_training if name in SEN_SYSTEMS else rdg_training if name in RDG_SYSTEMS else evaluation
            settings = resolve({**given, "device": "cuda", "system": "" if make is evaluation else name})
            found[name] = measured(make, settings, network, memory)
    return found


def main(words: list[str]) -> None:
    """Prints the table."""
    given = {"preset": "paper", "dataset": "cub", **read_words(words)}
    print(f"| GiB | {' | '.join(COLUMNS)} |\n| --- |{' ---: |' * len(COLUMNS)}")
    for name, row in table(given).items():
        print(f"| {name} | {' | '.join(f'{row[column]:.2f}' for column in COLUMNS)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
