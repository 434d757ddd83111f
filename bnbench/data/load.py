"""Loads a data set of the catalog by its name."""

from __future__ import annotations

from pathlib import Path

from bnbench.config.imported import imported
from bnbench.data.catalog import DATASETS
from bnbench.data.image_data import DataError, ImageData


def load_data(
    name: str, *, root: Path | None = None, cache_dir: Path | None = None, download: bool = True
) -> ImageData:
    """Load a whole data set into memory and check that it is what its name says.

    Args:
        name: A key of `DATASETS`.
        root: The folder of the data set's files, into which they are also downloaded; by default
            `cache_dir/torchvision`. Data sets that come inside packages need none.
        cache_dir: Where the data sets inside packages are saved once parsed; with None they are parsed each time.
        download: Whether torchvision may download files that are missing.

    Raises:
        DataError: If the name is unknown, or the files are missing, damaged or another data set's.
    """
    if name not in DATASETS:
        raise DataError(f"data={name} is unknown; choose one of {', '.join(DATASETS)}")
    info = DATASETS[name]
    home = root or (cache_dir / "torchvision" if cache_dir else None)
    images, labels, source = imported(info.loader)(home, cache_dir, download)
    data = ImageData.from_arrays(
        name,
        images,
        labels,
        classes=info.classes,
        source=source,
        official_test=info.test if info.official_test else 0,
    )
    _check_identity(data)
    return data


def _check_identity(data: ImageData) -> None:
    info = DATASETS[data.name]
    expected = (info.images, *info.shape)
    if data.images.shape != expected:
        raise DataError(f"data={data.name}: {data.source} hold {data.images.shape}, expected {expected}")
    owner = {other.checksum: name for name, other in DATASETS.items() if other.checksum}.get(data.checksum)
    if owner != data.name and (owner or info.checksum):
        content = f"the images of data={owner}" if owner else "other images or labels"
        as_arrays = f", or data=arrays data.path=FOLDER for {info.namesakes}" if info.namesakes and not owner else ""
        way_out = f"use the original files or package{as_arrays}"
        raise DataError(f"data={data.name}: {data.source} hold {content}; {way_out}")
