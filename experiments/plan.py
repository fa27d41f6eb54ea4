"""The steps of the study: which command makes what from what, at a scale."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from experiments.gans import GANS
from experiments.scale import Scale
from experiments.steps import OUT, Step

DATA = "$DATA"  # stands for the folder of photos in commands
NETWORK = "network-final.safetensors"
NETWORKS = {
    "classifier": "classifier/run.py --app train",
    "residual": "-m gan_fingerprints train",
    "visnet": "classifier_visNet/run.py --app train",
}
"""Kind of network that names sources → what trains it."""
BASELINES = ("knn", "eigenface", "prnu", "cooccurrence")
KINDS = ("images", "celeba", "lsun")


class Plan:
    """Collects steps; every method returns the place of what it plans, below `$OUT`.

    Commands are written as a user would type them, and taken apart as a shell does.

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

    def step(self, name: str, command: str, *outputs: str, resumes: bool = False) -> str:
        """Plans a step, once; it needs whatever its command mentions of earlier outputs.

        outputs: below `$OUT`; where none is named, there is one, which is called as the step.
        """
        words = tuple(shlex.split(command))
        outputs = outputs or (name,)
        read = [word.removeprefix(f"{OUT}/") for word in words if word.startswith(f"{OUT}/")]
        needs = dict.fromkeys(
            maker
            for path in read
            for output, maker in self._makers.items()
            if maker != name and (_holds(output, path) or _holds(path, output))
        )
        inputs = {"data": self.checksum} if any(DATA in word for word in words) else {}
        planned = Step(name, words, outputs, tuple(needs), resumes, inputs)
        # Several tables plan the same training; that they mean the same by its name is checked.
        if self.steps.setdefault(name, planned) != planned:
            raise ValueError(f"two steps are called {name}")
        self._makers |= dict.fromkeys(outputs, name)
        return f"{OUT}/{outputs[0]}"

    # Photos

    def photos(self) -> str:
        """All real images, in the study's size."""
        tool, place, records = "ProGAN/dataset_tool.py", "data/photos", f"{OUT}/data/records"
        side, number = self.scale.resolution, self.scale.photos_needed
        if self.kind is None:
            sample = f"sample_photos {OUT}/{place} --num {number} --size {side}"
            return self.step(place, f"-m gan_fingerprints {sample}")
        create = {
            "images": f"create_from_images --resolution {side} --shuffle 0",
            "celeba": "create_celeba",
            "lsun": f"create_lsun --max_images {number}",
        }[self.kind]
        self.step("data/records", f"{tool} {create} {records} {DATA}")
        return self.step(place, f"{tool} extract --resolution {side} {records} {OUT}/{place}")

    def chosen(self, name: str, flags: str) -> str:
        """Some of the photos, always in the same order."""
        choose = f"experiments/choose.py --in_dir {self.photos()} --seed 0"
        return self.step(name, f"{choose} {flags} --out_dir {OUT}/{name}")

    def training_photos(self, differing: int | None = None) -> str:
        """What a GAN is trained on: all, or the set that differs in so many from the first."""
        if differing is None:
            return self.chosen("data/training", f"--num {self.scale.photos['training']}")
        number = self.scale.training_sets["photos"]
        replaced = f"--replace {differing} --spare {number}" if differing else ""
        return self.chosen(f"data/training_differing_{differing}", f"--num {number} {replaced}")

    def records(self, photos: str) -> str:
        """TFRecords of a folder of photos."""
        place = photos.removeprefix(f"{OUT}/") + "_records"
        create = "ProGAN/dataset_tool.py create_from_images"
        return self.step(place, f"{create} {OUT}/{place} {photos}")

    # Sources

    def source(self, name: str) -> str:
        """Images of a source in all splits: real, ProGAN_seed_v2, ProGAN_differing_10, SNGAN …"""
        total = self.scale.of_each_source
        if name != "real":
            return self.generated(name, total, 0)
        # For training those that the GANs saw, too; for validation and testing such as none saw.
        unseen, start = total - self.scale.images["training"], self.scale.held_out_from
        return self.chosen("images/real", f"--num {total} --replace {unseen} --spare {start}")

    def generated(self, name: str, number: int, seed: int) -> str:
        """New images of a GAN, which is trained first."""
        place = f"images/{name}" if seed == 0 else f"images_{seed}/{name}"
        gan, model = GANS[name.partition("_")[0]], self.trained(name)
        where = {"model": model, "out": f"{OUT}/{place}"}
        settings = self.scale.programs[gan.name]
        return self.step(
            place, gan.command(gan.generate, settings, number=number, seed=seed, **where)
        )

    def trained(self, name: str) -> str:
        """The run of a GAN: SNGAN; ProGAN_seed_v2; ProGAN_differing_10, on other photos."""
        kind, _, variant = name.partition("_")
        what, _, number = variant.partition("_")
        gan, place = GANS[kind], f"gans/{name}"
        photos = self.training_photos(int(number) if what == "differing" else None)
        where = {"photos": photos, "model": f"{OUT}/{place}"}
        if "{records}" in gan.train:
            where["records"] = self.records(photos)
        seed = int(number[1:]) if what == "seed" else 0
        command = gan.command(gan.train, self.scale.programs[kind], seed=seed, **where)
        return self.step(place, command, resumes=True)

    # Classifiers

    def split(self, name: str, sources: Sequence[str]) -> str:
        """Images of several sources in training, validation and testing folders."""
        numbers = " ".join(f"--{split} {number}" for split, number in self.scale.images.items())
        folders = " ".join(map(self.source, sources))
        split = f"experiments/split.py --out_dir {OUT}/sets/{name}"
        return self.step(f"sets/{name}", f"{split} {numbers} {folders}")

    def data_sets(self, name: str, sources: Sequence[str]) -> str:
        """Prepared training and validation sets, as flags of the programs that read them."""
        images = self.split(name, sources)
        flags, against = [], ""
        for split in ("validation", "training"):
            place = f"datasets/{name}/{split}"
            prepare = f"classifier/data_preparation.py --in_dir {images}/{split}"
            data = self.step(place, f"{prepare} --out_dir {OUT}/{place} {against}")
            flags.append(f"--{split}_data_dir {data}")
            against = f"--against {data}"
        return " ".join(flags)

    def classifier(self, name: str, data: str, flags: str = "", kind: str = "classifier") -> str:
        """A trained network, of a kind of `NETWORKS`."""
        place = f"models/{name}"
        train = f"{NETWORKS[kind]} {data} --out_model_dir {OUT}/{place}"
        given = self.scale.programs[kind]
        run = self.step(place, f"{train} --training_seed 0 {given} {flags}", resumes=True)
        return f"{run}/{NETWORK}"

    def test(
        self, name: str, model: str, images: str, flags: str = "", program: str = "classifier"
    ) -> str:
        """What a network answers to images, as a table, and how well they fit, as another."""
        test = f"{program}/run.py --app test --model_path {model}"
        scores = f"answers/{name}.scores.csv"
        return self._answers(name, test, images, f"--out_scores {OUT}/{scores} {flags}", scores)

    def baseline(self, name: str, method: str, data: str, images: str) -> str:
        """What a baseline, fitted to these data, answers to images, as a table."""
        kept = f"baselines/{name}.safetensors"
        fit = f"classifier/baselines.py --method {method} {data} --out_model {OUT}/{kept}"
        return self._answers(name, fit, images, self.scale.programs["baselines"], kept)

    def baseline_again(self, name: str, fitted: str, images: str) -> str:
        """What the baseline that was fitted for another table answers to other images."""
        load = f"classifier/baselines.py --model_path {OUT}/baselines/{fitted}.safetensors"
        return self._answers(name, load, images)

    def _answers(self, name: str, command: str, images: str, flags: str = "", *others: str) -> str:
        """A table and a confusion matrix, and whatever other outputs the command makes."""
        place = f"answers/{name}"
        out = f"--out_csv {OUT}/{place}.csv --out_confusion {OUT}/{place}.png"
        whole = f"{command} --testing_data_path {images} {out} {flags}"
        return self.step(place, whole, f"{place}.csv", f"{place}.png", *others)

    def distances(self, name: str, space: str, images: str, model: str) -> tuple[str, str]:
        """Distances of sources in a space of features, as JSON, and a map of them."""
        place = f"spaces/{name}_{space}"
        whose = self._inception() if space == "inception" else f"--model_path {model}"
        measure = f"classifier/features.py --space {space} {whose} --testing_data_path {images}"
        out = f"--out_json {OUT}/{place}.json --out_map {OUT}/{place}.png"
        numbers = self.step(place, f"{measure} {out}", f"{place}.json", f"{place}.png")
        return numbers, f"{OUT}/{place}.png"

    def _inception(self) -> str:
        return f"--inception_weights {shlex.quote(str(self.inception))}"

    def samples(self, name: str, images: str, without: Sequence[str]) -> str:
        """A picture of some images of each source but those left out."""
        place = f"pictures/{name}"
        sheet = f"-m gan_fingerprints contact_sheet {images} {OUT}/{place}.png"
        left_out = " ".join(["--without", *without]) if without else ""
        return self.step(place, f"{sheet} {left_out}", f"{place}.png")

    def artifact_free(self, sources: Sequence[str]) -> str:
        """The share of new images of each source that look most like real ones."""
        number, share = self.scale.artifact_free["images"], self.scale.artifact_free["share"]
        for source in sources:
            self.generated(source, number, 1)
        place, real = "sets/artifact_free", self.training_photos()
        space = f"--space inception {self._inception()}" if self.inception else ""
        choose = f"classifier/artifact_free.py --in_dir {OUT}/images_1 --real_dir {real}"
        return self.step(place, f"{choose} --share {share} --out_dir {OUT}/{place} {space}")


def _holds(place: str, path: str) -> bool:
    """Whether a path is a place or lies in it."""
    return f"{path}/".startswith(f"{place}/")
