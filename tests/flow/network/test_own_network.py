"""Networks from a user's own file: made as every other, judged honestly, and named with file and line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from own_networks import file_of
from torch import nn

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.own_network import make_own
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.subject import find_subject
from bitlathe.flow.search.config import read_config
from bitlathe.flow.search.setup import set_up
from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.files.archive import read_graph
from bitlathe.model.graph.normalization import IMAGENET, Normalization
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import predict
from bitlathe.model.zoo import Normalize

SHAPE = (1, 8, 8)
MODULE = """from torch import nn
class make(nn.Module):
    def forward(self, x):
        return {body}
"""
TRAINING_ONLY = """from torch import nn
class make(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)
    def forward(self, x):
        if self.training:
            raise RuntimeError("no auxiliary head\\nmore lines")
        return self.head(x.flatten(1))
"""
ON_DIGITS = ("--dataset", "digits", "--calibration", "8")
SIBLING = """
from torch import nn

def head(width): return nn.Linear(width, 10)
"""
NETWORK = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn

@dataclass
class Settings:
    width: int = 64

def make():
    from own_sibling import head
    return nn.Sequential(nn.Flatten(), head(Settings().width))
"""


@pytest.fixture
def network(tmp_path: Path) -> str:
    """A network whose file imports one beside it."""
    (tmp_path / "own_sibling.py").write_text(SIBLING)
    (tmp_path / "own.py").write_text(NETWORK)
    return f"{tmp_path / 'own.py'}:make"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return file_of(tmp_path_factory.mktemp("own"))


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_may_use_dataclasses_and_what_is_beside_it(network: str) -> None:
    path = list(sys.path)
    assert make_own(network, 0, SHAPE)(torch.zeros(2, *SHAPE)).shape == (2, 10)
    assert sys.path == path


def test_random_weights_follow_from_the_seed_and_disturb_no_other(network: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, again, other = (make_own(network, seed, SHAPE)[1].weight for seed in (4, 4, 5))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize(
    "function",
    ["dictionary", "tuple_of_one", "double", "half", "map_of_one_pixel", "squeezed", "pixels", "module"],
)
def test_a_network_in_any_of_these_styles_makes_float32_logits(file: Path, function: str) -> None:
    model = make_own(f"{file}:{function}", 0, SHAPE).eval()
    images = load_dataset("digits").test_images
    for count in (1, 3, 101):  # of which the last batch is one image
        logits = predict(model, images[:count])
        assert logits.shape == (count, 10) and logits.dtype == torch.float32
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("function", ["tutorial", "dictionary", "double", "map_of_one_pixel", "squeezed"])
def test_such_networks_run_bit_exactly_as_the_command_line_has_them(file: Path, function: str) -> None:
    words = ("--network", f"{file}:{function}", *ON_DIGITS, "--images", "40", "--json")
    told = run("quantize", *words, "--out", "net.blg").json
    assert told["accuracy_float"] is not None and told["graph"] == run("quantize", *words).json["graph"]
    graph = read_graph(Path("net.blg"))
    assert graph.shapes[graph.output] == (10, 1, 1)


@pytest.mark.parametrize("function", ["tutorial", "map_of_one_pixel"])
@pytest.mark.parametrize("method", ["train", "prune:share=0.2", "weights", "quantize:weights=4", "product"])
def test_such_networks_are_compressed(file: Path, function: str, method: str) -> None:
    outcome = run(
        *("compress", "--network", f"{file}:{function}", *ON_DIGITS, "--method", method, "--images", "20"),
        *("--epoch-images", "33", "--batch-size", "32", "--out", "out", "--json"),  # one image is left over
    )
    assert outcome.status == 0, outcome.stderr


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Small images of three channels, in the place of every data set."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (90, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(90) % 10
    colours = Dataset(
        name="colours",
        train_images=images[:66],
        train_labels=labels[:66],
        test_images=images[66:],
        test_labels=labels[66:],
        class_names=tuple("abcdefghij"),
    )
    monkeypatch.setattr("bitlathe.flow.network.subject.find_dataset", lambda *_, **__: colours)
    return colours


@pytest.mark.parametrize("method", ["train", "prune:share=0.2", "weights", "quantize:weights=4", "product"])
def test_a_network_that_views_coloured_maps_is_compressed(file: Path, colours: Dataset, method: str) -> None:
    words = ("--network", f"{file}:colour", "--dataset", "colours", "--calibration", "8")
    outcome = run("compress", *words, "--method", method, "--held-out", "16", "--out", "out", "--json")
    assert outcome.status == 0, outcome.stderr
    assert run("quantize", *words, "--json").json["accuracy_integer"] is not None
    assert run("sensitivity", *words, "--images", "16", "--json").status == 0


def test_weights_are_channels_last_where_no_view_forbids_it(file: Path) -> None:
    def is_turned(function: str) -> bool:
        model = make_own(f"{file}:{function}", 0, (3, 16, 16))
        weights = [p for p in model.parameters() if p.dim() == 4 and p.shape[1] > 1]
        return all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)

    assert is_turned("in_colour") and not is_turned("colour")


def test_imagenets_normalisation_is_applied_to_a_network_of_ones_own(file: Path, colours: Dataset) -> None:
    request = NetworkRequest(network=f"{file}:colour", dataset="colours")
    plain = find_subject(request).model
    normalised = find_subject(replace(request, normalization=IMAGENET))
    assert normalised.weights.describe() == "as the function made them (seed 0), normalised as imagenet"
    images = colours.test_images
    expected = nn.Sequential(Normalize.imagenet(), plain)
    assert torch.equal(predict(normalised.model, images), predict(expected, images))
    made, wrapped = (quantize(model, colours.train_images) for model in (normalised.model, expected))
    assert np.array_equal(made.preprocess.table, wrapped.preprocess.table)
    assert np.array_equal(*(evaluate(q.graph, q.preprocess.codes(images)) for q in (made, wrapped)))


def test_one_module_that_is_made_twice_is_normalised_once(tmp_path: Path) -> None:
    (tmp_path / "own_single.py").write_text("from torch import nn\nnet = nn.Conv2d(3, 4, 3)\n")
    (tmp_path / "net.py").write_text("from own_single import net\ndef make(): return net\n")
    network, image = f"{tmp_path / 'net.py'}:make", torch.rand(2, 3, 8, 8)
    normalised = [make_own(network, 0, (3, 8, 8), IMAGENET)(image) for _ in range(2)]
    plain = make_own(network, 0, (3, 8, 8))
    assert torch.equal(*normalised)
    assert torch.equal(plain(Normalize.imagenet()(image)), normalised[0])


def test_a_search_makes_a_network_of_ones_own_with_its_normalisation(file: Path, colours: Dataset) -> None:
    Path("search.toml").write_text(
        f'[network]\nname = "{file}:colour"\ndataset = "digits"\nnormalize = "imagenet"\n'
        "[training]\nepochs = 1\n[methods.T]\n"
    )
    setup = set_up(read_config(Path("search.toml")), None)
    made = setup.spec.architecture.build()
    assert torch.equal(predict(made, colours.test_images), predict(setup.subject.model, colours.test_images))


def test_imagenets_normalisation_is_refused_for_other_than_three_channels(file: Path) -> None:
    for network in (f"{file}:tutorial", "lenet5"):
        outcome = run("quantize", "--network", network, *ON_DIGITS, "--normalize", "imagenet")
        assert outcome.status == 2
        assert outcome.stderr.strip().splitlines()[-1] == (
            "bitlathe: --normalize imagenet: has 3 means, images of digits have 1 channel; give 1"
        )


def test_weights_are_told_to_be_as_the_function_made_them(file: Path) -> None:
    outcome = run(
        "quantize", "--network", f"{file}:pixels", *ON_DIGITS, "--images", "2", "--seed", "3", "--json"
    )
    assert "pixels on digits: weights are as the function made them (seed 3)" in outcome.stderr
    assert outcome.json["weights"]["source"] == "as the function made them"


NO_CLASSES = {
    "one": "makes 1 output, digits has 10 classes",
    "twelve": "makes 12 outputs, digits has 10 classes",
    "a_map": "makes maps of 10x8x8, digits has 10 classes",
    "nothing": "makes maps of 64x1x1, digits has 10 classes",
}


@pytest.mark.parametrize("function", ["one", "twelve", "a_map"])
def test_no_accuracy_is_given_of_what_is_not_a_class(file: Path, function: str) -> None:
    network = ("--network", f"{file}:{function}", *ON_DIGITS)
    outcome = run("quantize", *network, "--images", "20", "--out", "net.blg", "--json")
    assert outcome.json["accuracy_float"] is outcome.json["accuracy_integer"] is None
    assert f"{function}: {NO_CLASSES[function]}, so no accuracy is given" in outcome.stderr.splitlines()
    of_file = run("quantize", "net.blg", "--dataset", "digits", "--images", "20")
    assert of_file.status == 0 and NO_CLASSES[function] in of_file.stderr
    for command in (
        ("compress", *network, "--method", "train", "--out", "out"),
        ("sensitivity", *network, "--images", "20"),
    ):
        refused = run(*command)
        assert refused.status == 2
        assert refused.stderr.splitlines()[-1] == (
            f"bitlathe: {file}:{function}: {NO_CLASSES[function]}; give it one output per class, or --loss"
        )


def test_a_search_for_no_classes_is_refused_before_it_begins(file: Path) -> None:
    Path("search.toml").write_text(
        f'[network]\nname = "{file}:a_map"\ndataset = "digits"\n[training]\nepochs = 1\n[methods.T]\n'
    )
    with pytest.raises(UsageError, match="a_map: makes maps of 10x8x8, digits has 10 classes"):
        set_up(read_config(Path("search.toml")), None)


@pytest.mark.parametrize("function", ["no_weights", "frozen"])
def test_nothing_to_train_is_told_of(file: Path, function: str) -> None:
    words = ("--network", f"{file}:{function}", *ON_DIGITS, "--images", "20")
    outcome = run("compress", *words, "--method", "train", "--out", "out")
    assert outcome.status == 2
    assert outcome.stderr.splitlines()[-1] == (
        f"bitlathe: {file}:{function}: has no weights to train; give it some that want a gradient"
    )
    assert run("quantize", *words).status == 0


def test_batches_of_one_image_that_batch_norm_cannot_train_on_are_told_of(file: Path) -> None:
    words = ("--network", f"{file}:pixels", *ON_DIGITS, "--method", "train", "--epoch-images", "3")
    outcome = run("compress", *words, "--batch-size", "1", "--images", "20", "--out", "out")
    assert outcome.status == 2
    assert outcome.stderr.splitlines()[-1] == (
        "bitlathe: training: batch norm cannot take the variance of one image, whose channels have "
        "one value each; take batches, and epochs, of 2 images or more"
    )


MISTAKES = {
    "def make(width): pass": "{file}:1: make: is called without arguments "
    "(missing a required argument: 'width'); give each a default",
    "class make:\n    def __init__(self, width): pass": "{file}:1: make: is called without arguments "
    "(missing a required argument: 'width'); give each a default",
    "def make(): return 3": "{file}:1: make: returns int; let it return a torch.nn.Module",
    "\ndef make():\n    return undefined": "{file}:3: NameError: name 'undefined' is not defined; "
    "mend it there",
    "import nowhere_to_be_found": "{file}:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'; "
    "mend it there",
    "def make(:": "{file}:1: SyntaxError: invalid syntax; mend it there",
    "raise SystemExit(3)": "{file}:1: SystemExit: 3; mend it there",
    "make = 3": "{file}: has no function make; name one that returns a torch.nn.Module",
    MODULE.format(body="self.missing"): "{file}:4: AttributeError: 'make' object has no attribute 'missing'; "
    "mend it there",
    MODULE.format(body="{}['key']"): "{file}:4: KeyError: 'key'; mend it there",
    MODULE.format(body="(x, 3, x)"): "make: its forward returns 2 tensors and also int; return tensors only",
    MODULE.format(body="x.reshape(1, -1)"): "{file}:make: makes an output of shape (1, 192) of 3 images; "
    "keep the images of a batch apart",
}


@pytest.mark.parametrize("source", MISTAKES)
def test_what_is_wrong_in_a_file_is_named_in_one_line_with_its_place(source: str, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(source)
    outcome = run("quantize", "--network", f"{path}:make", *ON_DIGITS)
    assert outcome.status == 2
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(f"bitlathe: {MISTAKES[source].format(file=path)}")


def test_what_fails_in_training_mode_only_is_named_before_training(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(TRAINING_ONLY)
    outcome = run("compress", "--network", f"{path}:make", *ON_DIGITS, "--method", "train", "--out", "out")
    assert outcome.status == 2
    assert outcome.stderr.splitlines()[-1] == (
        f"bitlathe: {path}:8: RuntimeError: no auxiliary head; mend it there"
    )


def test_a_function_s_name_is_no_picture(file: Path) -> None:
    assert f"{file}:one:" in run("sensitivity", "--network", f"{file}:one", *ON_DIGITS).stderr


@pytest.mark.parametrize("text", ["unit", "-1..1", "raw", "mean=0.2,std=0.4"])
def test_a_search_by_a_file_takes_every_normalization(file: Path, text: str) -> None:
    for name in (f"{file}:tutorial", "lenet5"):
        Path("search.toml").write_text(
            f'[network]\nname = "{name}"\ndataset = "digits"\nnormalize = "{text}"\n'
            "[training]\nepochs = 1\n[methods.T]\n"
        )
        setup = set_up(read_config(Path("search.toml")), None)
        made, images = setup.spec.architecture.build(), setup.subject.dataset.test_images[:9]
        assert setup.subject.weights.normalization == Normalization.parse(text)
        assert torch.equal(predict(made, images), predict(setup.subject.model, images))


def test_a_wrong_normalization_is_refused_by_line_and_option(file: Path) -> None:
    Path("search.toml").write_text(
        f'[network]\nname = "{file}:tutorial"\ndataset = "digits"\nnormalize = "range=3..3"\n'
        "[training]\nepochs = 1\n[methods.T]\n"
    )
    refused = "goes from 3 to 3; give two numbers that differ"
    assert run("search", "search.toml", "--out", "out").stderr.strip() == (
        f"bitlathe: search.toml:4: network.normalize: {refused}"
    )
    words = ("quantize", "--network", f"{file}:tutorial", *ON_DIGITS)
    for option, message in (
        ("range=3..3", f"bitlathe: --normalize range=3..3: {refused}"),
        ("-1,1", "bitlathe: --normalize -1,1: is not a normalization; give none"),
        ("mean=1,2,std=1", "bitlathe: --normalize mean=1,2,std=1: means are 1,2, and pixel / 255 ends at 1"),
        ("mean=0,1,std=1", "bitlathe: --normalize mean=0,1,std=1: has 2 means, images of digits have 1"),
    ):
        outcome = run(*words, "--normalize", option)
        assert outcome.status == 2 and outcome.stderr.strip().splitlines()[-1].startswith(message)


def test_a_refused_network_of_a_file_is_told_line_by_line(tmp_path: Path) -> None:
    Path("refused.py").write_text(
        "from torch import nn\n"
        "\n"
        "\n"
        "def block(width):\n"
        "    return nn.Sequential(\n"
        "        nn.Conv2d(width, width, 3, padding=1),\n"
        "        nn.GroupNorm(1, width),\n"
        "    )\n"
        "\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.first = nn.Conv2d(1, 4, 3)\n"
        "        self.body = nn.Sequential(block(4), block(4))\n"
        "        self.last = nn.Linear(4, 10)\n"
        "\n"
        "    def forward(self, x):\n"
        "        return self.last(pooled(self.body(self.first(x))))\n"
        "\n"
        "def pooled(x):\n"
        "    return x.cumsum(2).amax((2, 3))\n"
    )
    outcome = run("quantize", "--network", "refused.py:Net", *ON_DIGITS)
    assert outcome.status == 2 and "Traceback" not in outcome.stderr
    *_, head, norm, total = outcome.stderr.rstrip().splitlines()
    assert head == "bitlathe: Net: 3 problems"
    assert norm.startswith(
        "  refused.py:18 in body.0.1 (GroupNorm, made in refused.py:7): aten.group_norm.default has no exact"
    )
    assert norm.endswith("(and 1 more of the same, in body.1.1 (GroupNorm, made in refused.py:7))")
    assert total.startswith(
        "  refused.py:21 in Net: aten.cumsum.default has no exact integer form here; use "
    )
