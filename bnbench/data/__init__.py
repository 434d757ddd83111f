"""Data sets, whole and in memory: where they come from, how they are split, how they are scaled.

Nothing here imports torch, except while torchvision reads or downloads one of its own data sets.
"""

from bnbench.data.catalog import DATASETS, DatasetInfo
from bnbench.data.image_data import DataError, ImageData, MissingDataError
from bnbench.data.load import load_data
from bnbench.data.own import OWN, dataset_info, load_images, load_own
from bnbench.data.scaling import pixels, scaling
from bnbench.data.splits import Split, largest_class, split_checksum, split_data

__all__ = [
    "DATASETS",
    "OWN",
    "DataError",
    "DatasetInfo",
    "ImageData",
    "MissingDataError",
    "Split",
    "dataset_info",
    "largest_class",
    "load_data",
    "load_images",
    "load_own",
    "pixels",
    "scaling",
    "split_checksum",
    "split_data",
]
