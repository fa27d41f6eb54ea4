"""Tiny attribution networks in files, and images of many kinds for them."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.networks import files

NAMES = ["photographs", "ProGAN_seed_0", "ProGAN_seed_1"]
SIDE = 16


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """`classifier`, calibrated, and `visnet`, not: each with `network`, `path`, `calibration`."""
    import keras

    from classifier.networks import Classifier
    from classifier_visNet.networks import AutoEncoder

    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("networks")
    made = {}
    for name, kind in (("classifier", Classifier), ("visnet", AutoEncoder)):
        network = kind(SIDE, len(NAMES), fmap_base=64, fmap_max=16)
        calibration = None
        if name == "classifier":
            centres = Centres(np.zeros([3, 16], np.float32), np.ones(16, np.float32))
            calibration = Calibration(0.25, "energy", 0.5, 0.05, centres, "5" * 64)
        path = folder / f"{name}.safetensors"
        origin = {"command": "run.py --app train", "data": {"count": 9, "source_names": NAMES}}
        files.save(path, network, origin, NAMES, calibration)
        made[name] = SimpleNamespace(network=network, path=path, calibration=calibration)
    return SimpleNamespace(**made)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with spaces and umlauts: 6 images, one of them in a subfolder, 2 bad files."""
    folder = tmp_path_factory.mktemp("Fälle und Bilder")
    noise = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), np.uint8)
    images.write_png(folder / "fits.png", noise[0, :SIDE, :SIDE])
    Image.fromarray(noise[1]).convert("L").save(folder / "grey.jpg")
    Image.fromarray(noise[2, :20]).convert("RGBA").save(folder / "oblong.png")
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    Image.fromarray(noise[3, :12]).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(noise[0, :6, :9]).save(folder / "small.bmp")
    (folder / "Unter ordner").mkdir()
    Image.fromarray(noise[1]).save(
        folder / "Unter ordner" / "pages.tif", save_all=True, append_images=[Image.new("L", (5, 5))]
    )
    (folder / "text called.png").write_text("no image")
    (folder / "cut.jpg").write_bytes((folder / "grey.jpg").read_bytes()[:-40])
    (folder / "notes.txt").write_text("left out")
    (folder / ".hidden.png").write_bytes(b"left out")
    return folder
