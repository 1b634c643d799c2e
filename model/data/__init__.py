"""Data sets: readers, the frozen `Dataset`, and the image input contract."""

from bitlathe.model.data.dataset import Dataset, Labels
from bitlathe.model.data.load import check_dataset, data_root, dataset_names, image_shape_of, load_dataset
from bitlathe.model.data.pixels import INPUT_FRAC, PIXEL_ZERO, to_codes, to_input, to_target
from bitlathe.model.graph.arrays import Images

__all__ = [
    "INPUT_FRAC",
    "PIXEL_ZERO",
    "Dataset",
    "Images",
    "Labels",
    "check_dataset",
    "data_root",
    "dataset_names",
    "image_shape_of",
    "load_dataset",
    "to_codes",
    "to_input",
    "to_target",
]
