"""Networks have the published shape, export, and are made alike from alike seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import needs
import pytest
import torch
from tolerances import undecided
from torch import nn

from bitlathe.model.compress.weight_files import load_weights
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import ShapeError, UnsupportedLayer
from bitlathe.model.train.evaluate import predict
from bitlathe.model.train.state_dicts import read_state
from bitlathe.model.zoo import NETWORKS, LeNet5, Normalize, build, macs, network_spec
from bitlathe.model.zoo.densenet import densenet_bc
from bitlathe.model.zoo.resnext import resnext29
from bitlathe.model.zoo.shufflenet_v2 import shuffled
from bitlathe.model.zoo.yolo import SameMaxPool

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT.parent / "shared" / "weights"


@pytest.fixture
def weights_root() -> Path:
    """Folder of the imported weights; the test is skipped where there is none."""
    return needs.data(WEIGHTS, "no imported weights beside the repository")


def images_for(name: str, count: int = 2) -> torch.Tensor:
    spec = network_spec(name)
    generator = torch.Generator().manual_seed(1)
    size = (count, spec.in_channels, spec.input_size, spec.input_size)
    return torch.rand(size, generator=generator) * 2 - 1


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def outline(name: str) -> nn.Module:
    """A network of shapes without values, which costs no time."""
    with torch.device("meta"):
        return build(name)


@pytest.mark.parametrize("name", [name for name, spec in NETWORKS.items() if spec.classifies])
def test_a_network_gives_one_logit_a_class(name: str) -> None:
    spec = network_spec(name)
    with torch.device("meta"):
        model = build(name, num_classes=7).eval()
        assert model(torch.zeros(1, spec.in_channels, spec.input_size, spec.input_size)).shape == (1, 7)


def test_a_detector_gives_boxes_on_two_grids_and_a_segmenter_a_class_for_each_pixel() -> None:
    coarse, fine = build("yolov3-tiny", num_classes=7, input_size=64)(torch.rand(1, 3, 64, 64))
    assert (coarse.shape, fine.shape) == ((1, 36, 2, 2), (1, 36, 4, 4))
    assert build("unet", num_classes=3, input_size=(16, 24))(torch.rand(2, 1, 16, 24)).shape == (2, 3, 16, 24)


def test_the_last_pool_of_yolov3_tiny_looks_at_pixels_right_and_below_alone() -> None:
    x = -torch.rand(1, 2, 5, 5)
    beyond = nn.functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(SameMaxPool()(x), nn.functional.max_pool2d(beyond, 2, 1))


def test_a_shuffle_deals_channels_out_in_turn() -> None:
    x = torch.rand(2, 12, 3, 3)
    assert torch.equal(shuffled(x, 3), nn.ChannelShuffle(3)(x))


@pytest.mark.parametrize(
    ("network", "parameters_in_millions"),
    [  # Xie et al. 2017, table 7; Huang et al. 2017, table 2
        (lambda: resnext29(groups=8, width=64, num_classes=10, in_channels=3), 34.4),
        (lambda: resnext29(groups=16, width=64, num_classes=10, in_channels=3), 68.1),
        (lambda: densenet_bc(depth=100, growth=12, num_classes=10, in_channels=3), 0.8),
    ],
    ids=["resnext29 8x64d", "resnext29 16x64d", "densenet-bc 100"],
)
def test_larger_forms_have_the_published_number_of_parameters(
    network: Callable[[], nn.Module], parameters_in_millions: float
) -> None:
    with torch.device("meta"):
        model = network()
    assert abs(parameters(model) / 1e6 - parameters_in_millions) < 0.06


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "resnet20"])
def test_a_network_exports_and_computes_the_same(name: str) -> None:
    model, images = build(name).eval(), images_for(name, count=1)
    exported = torch.export.export(model, (images,)).module()
    assert torch.equal(exported(images), model(images))


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # as akamaster/pytorch_resnet_cifar10 counts them: 0.27 M, 0.46 M, 0.66 M, 0.85 M, 1.7 M
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
    ],
)
def test_a_cifar_resnet_has_the_published_number_of_parameters(name: str, expected: int) -> None:
    assert parameters(build(name)) == expected


# Sources: Caffe's lenet.prototxt; bearpaw/pytorch-classification (AlexNet); Li et al. 2016, table 1 (VGG-16:
# 3.13e8 multiply-accumulates, 1.5e7 parameters); Lin et al. 2020, arXiv:2002.10179, table 2 (GoogLeNet:
# 1.52 G, 6.15 M); torchvision (ResNet-18: 1.814 G, 11,689,512; ResNet-50: 4.089 G, 25,557,032); Howard et
# al. 2017, table 8 (569 M, 4.2 M); torchvision again (MobileNetV2: 0.301 G, 3,504,872; MobileNetV3-Small:
# 0.057 G, 2,542,856; ShuffleNetV2 1.0x: 0.145 G, 2,278,604; SqueezeNet 1.1: 0.349 G, 1,235,496);
# tensorflow/tpu (EfficientNet-Lite0: 4.7 M); darknet (YOLOv3-tiny: 5.56 G operations, and a weight file of
# 8,858,734 numbers, 6,368 of which are statistics). The remaining ones are those with other stems or a head
# of 10.
SIZES = {  # multiply-accumulates, parameters
    "lenet5-caffe": (2_293_000, 431_080),
    "alexnet": (14_957_056, 2_472_266),
    "vgg16": (313_463_808, 14_986_698),
    "googlenet": (1_521_756_160, 6_158_346),
    "resnet18": (555_422_720, 11_173_962),
    "resnet50": (1_297_829_888, 23_520_842),
    "mobilenet": (46_354_432, 3_217_226),
    "mobilenet-28": (33_262_528, 3_216_650),
    "resnet18-224": (1_814_073_344, 11_689_512),
    "resnet50-224": (4_089_184_256, 25_557_032),
    "mobilenet-224": (568_740_352, 4_231_976),
    "mobilenetv2": (87_976_448, 2_236_682),
    "mobilenetv3-small": (17_507_328, 1_528_106),
    "efficientnet-lite0": (115_539_968, 3_383_818),
    "shufflenetv2": (45_002_112, 1_263_854),
    "squeezenet": (16_917_248, 727_626),
    "densenet-bc": (72_365_352, 176_122),
    "resnext29": (774_055_936, 4_775_754),
    "mobilenetv2-224": (300_774_272, 3_504_872),
    "mobilenetv3-small-224": (56_510_400, 2_542_856),
    "efficientnet-lite0-224": (385_187_552, 4_652_008),
    "shufflenetv2-224": (144_907_992, 2_278_604),
    "squeezenet-224": (349_151_936, 1_235_496),
    "yolov3-tiny": (2_782_480_896, 8_852_366),
    "unet": (324_993_024, 482_619),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_network_has_the_published_size(name: str) -> None:
    spec, model = network_spec(name), outline(name)
    assert (macs(model, (spec.in_channels, spec.input_size, spec.input_size)), parameters(model)) == SIZES[
        name
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_of_networks_is_that_of_the_readme(name: str) -> None:
    rows = (ROOT / "model" / "zoo" / "README.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in rows if line.startswith(f"| `{name}` |"))
    assert f"{parameters(outline(name)):,} |" in row
    assert name not in SIZES or f"{SIZES[name][0]:,} |" in row


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("lenet5-caffe", 15, "image size 15 is too small; use 16 or more, or lenet5"),
        ("alexnet", 28, "image size 28 is not supported; scale images to 32"),
        ("vgg16", 48, "image size 48 is not a multiple of 32"),
        ("resnet50", 7, "image size 7 is too small; use 8 or more"),
        ("mobilenet-224", 16, "image size 16 is too small; use 32 or more"),
        ("yolov3-tiny", 100, "images are 100x100; resize them to sides that are multiples of 32"),
        ("unet", 28, "images are 28x28; resize them to sides that are multiples of 8"),
    ],
)
def test_an_image_that_does_not_fit_is_refused(name: str, size: int, message: str) -> None:
    with pytest.raises(ShapeError, match=f"^{name}: {message}$"):
        build(name, input_size=size)


def test_resnet8_has_the_layers_of_mlperf_tiny() -> None:
    # 12,501,632 multiply-accumulates: MLPerf Tiny's figure for its image classification network
    model = build("resnet8")
    assert macs(model, (3, 32, 32)) == 12_501_632
    kernels = [m.kernel_size[0] for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert (kernels.count(3), kernels.count(1)) == (7, 2)


@pytest.mark.parametrize(("size", "features"), [(8, 64), (28, 400), (32, 400)])
def test_lenet5_fits_its_image_sizes(size: int, features: int) -> None:
    model = build("lenet5", input_size=size)
    assert isinstance(model, LeNet5)
    assert model.fc1.in_features == features
    assert model(torch.zeros(1, 1, size, size)).shape == (1, 10)


def test_lenet5_refuses_another_image_size() -> None:
    with pytest.raises(ShapeError, match=r"^lenet5: image size 30 .* one of \[8, 28, 32\]$"):
        build("lenet5", input_size=30)


def test_mobilenet_keeps_most_of_its_layers_on_large_enough_maps() -> None:
    model = build("mobilenet-28")
    strides = [m.stride[0] for m in model.modules() if isinstance(m, nn.Conv2d) if m.stride[0] != 1]
    assert strides == [2, 2, 2, 2]
    assert model.get_submodule("features")[:-2](torch.zeros(1, 32, 14, 14)).shape[1:] == (512, 4, 4)


def test_a_resnet_refuses_an_image_too_small_to_halve_twice() -> None:
    with pytest.raises(ShapeError, match=r"^resnet8: image size 3 is too small; use 4 or more$"):
        build("resnet8", input_size=3)


def test_an_unknown_network_lists_the_known_ones() -> None:
    with pytest.raises(
        UnsupportedLayer, match="resnet9: no such network; choose one of lenet5, lenet5-caffe"
    ):
        build("resnet9")


def test_equal_seeds_give_equal_networks_and_leave_the_global_stream_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (build("resnet8", seed=seed).state_dict()["conv1.weight"] for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_macs_count_terms_times_outputs_and_leave_the_mode_alone() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 9, 10)).train()
    assert macs(model, (4, 5, 5)) == 2 * 9 * 6 * 9 + 54 * 10
    assert model.training


def test_macs_of_a_transposed_convolution_count_each_pixel_times_the_weights_of_its_channel() -> None:
    model = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)
    assert macs(model, (4, 5, 5)) == 4 * 25 * 3 * 9


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_imported_weights_fit_key_by_key(name: str, weights_root: Path) -> None:
    state = read_state(weights_root / f"{name}_cifar10.pt").state
    assert build(name).load_state_dict(state, strict=True).missing_keys == []


def test_resnet20_with_imported_weights_recognises_what_its_source_says(
    weights_root: Path, data_root: Path
) -> None:
    # 91.73 % of all 10,000 test images; of the first 500 it recognises these
    model = build("resnet20", normalize=Normalize.imagenet())
    load_weights(model, weights_root / "resnet20_cifar10.pt")
    cifar10 = load_dataset("cifar10", data_root)
    logits = predict(model, cifar10.test_images[:500])
    right = int((logits.argmax(1).numpy() == cifar10.test_labels[:500]).sum())
    assert abs(right - 455) <= undecided(logits, model) < 5
