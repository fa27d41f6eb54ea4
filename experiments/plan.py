"""The steps of the study: which command makes what from what, at a scale."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.gans import GANS
from experiments.scale import Scale
from experiments.steps import OUT, Step

DATA = "$DATA"  # stands for the folder of photos in commands
NETWORK = "network-final.safetensors"
BASELINES = ("knn", "eigenface", "prnu")
KINDS = ("images", "celeba", "lsun")


class Plan:
    """Collects steps; every method returns the place of what it plans, below `$OUT`.

    Args:
        scale: the numbers.
        kind: how `$DATA` is read: `images`, a folder of them; `celeba`, the aligned photographs,
            cropped as in the study; `lsun`, the database or a folder of LSUN. None for photographs
            that come with the dependencies.
        checksum: of `$DATA`.
        inception: a file of InceptionV3's weights, or None.

    Attributes:
        steps: all planned so far, by name, each after what it needs.
    """

    def __init__(
        self, scale: Scale, kind: str | None, checksum: str, inception: str | None = None
    ) -> None:
        self.scale = scale
        self.kind = kind
        self.checksum = checksum
        self.inception = inception
        self.steps: dict[str, Step] = {}
        self._makers: dict[str, str] = {}  # output → name of its step

    def step(
        self, name: str, command: Sequence[object], *outputs: str, resumes: bool = False
    ) -> str:
        """Plans a step, once; it needs whatever its command mentions of earlier outputs."""
        words = tuple(map(str, command))
        needs: list[str] = []
        for word in words:
            path = word.removeprefix(f"{OUT}/")
            if path == word:
                continue
            for output, maker in self._makers.items():
                nested = f"{path}/".startswith(f"{output}/") or output.startswith(f"{path}/")
                if nested and maker not in [name, *needs]:
                    needs.append(maker)
        reads_data = any(DATA in word for word in words)
        inputs = {"data": self.checksum} if reads_data else {}
        planned = Step(name, words, outputs, tuple(needs), resumes, inputs)
        if self.steps.setdefault(name, planned) != planned:
            raise ValueError(f"two steps are called {name}")
        self._makers |= dict.fromkeys(outputs, name)
        return f"{OUT}/{outputs[0]}"

    # Photos

    def photos(self) -> str:
        """All real images, in the study's size."""
        side = self.scale.resolution
        if self.kind is None:
            return self.step(
                "data/photos",
                ["-m", "gan_fingerprints", "sample_photos", f"{OUT}/data/photos", "--num",
                 self.scale.photos_needed, "--size", side],
                "data/photos",
            )  # fmt: skip
        create: dict[str, list[object]] = {
            "images": ["create_from_images", "--resolution", side, "--shuffle", 0],
            "celeba": ["create_celeba"],
            "lsun": ["create_lsun", "--max_images", self.scale.photos_needed],
        }
        tool = "ProGAN/dataset_tool.py"
        records = self.step(
            "data/records", [tool, *create[self.kind], f"{OUT}/data/records", DATA], "data/records"
        )
        out = f"{OUT}/data/photos"
        extract = [tool, "extract", "--resolution", side, records, out]
        return self.step("data/photos", extract, "data/photos")

    def chosen(self, name: str, *flags: object) -> str:
        """Some of the photos, always in the same order."""
        command = ["experiments/choose.py", "--in_dir", self.photos(), "--seed", 0, *flags]
        return self.step(name, [*command, "--out_dir", f"{OUT}/{name}"], name)

    def training_photos(self, differing: int | None = None) -> str:
        """What a GAN is trained on: all, or the set that differs in so many from the first."""
        if differing is None:
            return self.chosen("data/training", "--num", self.scale.photos["training"])
        number = self.scale.training_sets["photos"]
        replaced = ["--replace", differing, "--spare", number] if differing else []
        return self.chosen(f"data/training_differing_{differing}", "--num", number, *replaced)

    def records(self, photos: str) -> str:
        """TFRecords of a folder of photos."""
        place = photos.removeprefix(f"{OUT}/") + "_records"
        command = ["ProGAN/dataset_tool.py", "create_from_images", f"{OUT}/{place}", photos]
        return self.step(place, command, place)

    # Sources

    def real(self) -> str:
        """Real images of all splits: the first of those that GANs saw, then such as none saw."""
        numbers, total = self.scale.images, self.scale.of_each_source
        return self.chosen(
            "images/real", "--num", total, "--replace", total - numbers["training"], "--spare",
            self.scale.held_out_from,
        )  # fmt: skip

    def source(self, name: str) -> str:
        """Images of a source: real, ProGAN_seed_v2, ProGAN_differing_10, SNGAN …"""
        if name == "real":
            return self.real()
        return self.generated(name, self.scale.of_each_source, 0)

    def generated(self, name: str, number: int, seed: int) -> str:
        """New images of a GAN, which is trained first."""
        place = f"images/{name}" if seed == 0 else f"images_{seed}/{name}"
        gan, model = GANS[name.partition("_")[0]], self.trained(name)
        command = gan.words(
            gan.generate, self.scale.flags(gan.name), model=model, out=f"{OUT}/{place}",
            number=number, seed=seed,
        )  # fmt: skip
        return self.step(place, command, place)

    def trained(self, name: str) -> str:
        """The run of a GAN: SNGAN; ProGAN_seed_v2; ProGAN_differing_10, on other photos."""
        kind, _, variant = name.partition("_")
        what, _, number = variant.partition("_")
        gan, place = GANS[kind], f"gans/{name}"
        photos = self.training_photos(int(number) if what == "differing" else None)
        places = {"photos": photos, "model": f"{OUT}/{place}"}
        if "{records}" in gan.train:
            places["records"] = self.records(photos)
        seed = int(number[1:]) if what == "seed" else 0
        command = gan.words(gan.train, self.scale.flags(kind), seed=seed, **places)
        return self.step(place, command, place, resumes=True)

    # Classifiers

    def split(self, name: str, sources: Sequence[str]) -> str:
        """Images of several sources in training, validation and testing folders."""
        numbers = [word for k, v in self.scale.images.items() for word in (f"--{k}", v)]
        folders = [self.source(source) for source in sources]
        command = ["experiments/split.py", "--out_dir", f"{OUT}/sets/{name}", *numbers, *folders]
        return self.step(f"sets/{name}", command, f"sets/{name}")

    def data_sets(self, name: str, sources: Sequence[str]) -> list[object]:
        """Prepared training and validation sets, as flags of the programs that read them."""
        images = self.split(name, sources)
        flags: list[object] = []
        against: list[object] = []
        for split in ("validation", "training"):
            place = f"datasets/{name}/{split}"
            command = ["classifier/data_preparation.py", "--in_dir", f"{images}/{split}",
                       "--out_dir", f"{OUT}/{place}", *against]  # fmt: skip
            data = self.step(place, command, place)
            flags += [f"--{split}_data_dir", data]
            against = ["--against", data]
        return flags

    def classifier(
        self, name: str, data: Sequence[object], *flags: object, program: str = "classifier"
    ) -> str:
        """A trained network."""
        given = self.scale.flags("visnet" if program == "classifier_visNet" else "classifier")
        command = [f"{program}/run.py", "--app", "train", *data, "--out_model_dir",
                   f"{OUT}/models/{name}", "--training_seed", 0, *given, *flags]  # fmt: skip
        return f"{self.step(f'models/{name}', command, f'models/{name}', resumes=True)}/{NETWORK}"

    def test(
        self, name: str, model: str, images: str, *flags: object, program: str = "classifier"
    ) -> str:
        """What a network answers to images, as a table; and scores, where it is calibrated."""
        place, out = f"answers/{name}.csv", f"{OUT}/answers/{name}"
        scores = [] if "--unknown" in flags else ["--out_scores", f"{out}.scores.csv"]
        return self.step(
            f"answers/{name}",
            [f"{program}/run.py", "--app", "test", "--model_path", model, "--testing_data_path",
             images, *self._answers(name), *scores, *flags],
            place, f"answers/{name}.png", *([f"answers/{name}.scores.csv"] if scores else []),
        )  # fmt: skip

    def baseline(self, name: str, method: str, data: Sequence[object], images: str) -> str:
        """What a baseline, fitted to these data, answers to images, as a table."""
        kept = f"baselines/{name}.safetensors"
        command = ["classifier/baselines.py", "--method", method, *data, "--out_model",
                   f"{OUT}/{kept}", "--testing_data_path", images, *self._answers(name),
                   *self.scale.flags("baselines")]  # fmt: skip
        outputs = f"answers/{name}.csv", f"answers/{name}.png", kept
        return self.step(f"answers/{name}", command, *outputs)

    def baseline_again(self, name: str, fitted: str, images: str) -> str:
        """What the baseline that was fitted for another table answers to other images."""
        command = ["classifier/baselines.py", "--model_path",
                   f"{OUT}/baselines/{fitted}.safetensors", "--testing_data_path", images,
                   *self._answers(name)]  # fmt: skip
        return self.step(f"answers/{name}", command, f"answers/{name}.csv", f"answers/{name}.png")

    def _answers(self, name: str) -> list[object]:
        out = f"{OUT}/answers/{name}"
        return ["--out_csv", f"{out}.csv", "--out_confusion", f"{out}.png"]

    def distances(self, name: str, space: str, images: str, model: str) -> tuple[str, str]:
        """Distances of sources in a space of features, as JSON, and a map of them."""
        place = f"spaces/{name}_{space}"
        whose = ["--model_path", model]
        if space == "inception":
            whose = ["--inception_weights", str(self.inception)]
        command = ["classifier/features.py", "--space", space, *whose, "--testing_data_path",
                   images, "--out_json", f"{OUT}/{place}.json",
                   "--out_map", f"{OUT}/{place}.png"]  # fmt: skip
        return self.step(place, command, f"{place}.json", f"{place}.png"), f"{OUT}/{place}.png"

    def samples(self, name: str, images: str, without: Sequence[str]) -> str:
        """A picture of some images of each source but those left out."""
        place = f"pictures/{name}.png"
        command = ["-m", "gan_fingerprints", "contact_sheet", images, f"{OUT}/{place}",
                   *(["--without", *without] if without else [])]  # fmt: skip
        return self.step(f"pictures/{name}", command, place)

    def artifact_free(self, sources: Sequence[str]) -> str:
        """The share of new images of each source that look most like real ones."""
        number, share = self.scale.artifact_free["images"], self.scale.artifact_free["share"]
        for source in sources:
            self.generated(source, number, 1)
        space = ["--space", "inception", "--inception_weights", self.inception]
        return self.step(
            "sets/artifact_free",
            ["classifier/artifact_free.py", "--in_dir", f"{OUT}/images_1", "--real_dir",
             self.training_photos(), "--share", share, "--out_dir", f"{OUT}/sets/artifact_free",
             *(space if self.inception else [])],
            "sets/artifact_free",
        )  # fmt: skip
