"""Small files of every tool, which show what `drawn_scene` has.

Other datasets have other names for the cat and the dog, and some have one name for both.
"""

import json
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import datasets
from drawn_annotations import (
    write_coco,
    write_cvat_coco,
    write_label_studio,
    write_label_studio_coco,
    write_labelme,
    write_list,
    write_lvis,
    write_panoptic,
    write_photo_list,
    write_roboflow,
    write_text_label,
    write_via,
    write_via3,
    write_yaml,
)
from drawn_masks import (
    write_ade_instances,
    write_colours,
    write_object,
    write_outlined,
    write_panoptic_png,
    write_values,
)
from drawn_scene import CAT, DOG, Box, Drawn, Scene, is_photo, write_photo
from layout_trees import LayoutTree

COLOUR_TABLE = "name,r,g,b\nbackground,0,0,0\ncat,128,0,0\ndog,0,128,0\n"
LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"
VALUES = {  # root -> what masks hold, where it isn't 0, 1 and 2
    "cityscapes": Drawn(cat=26, dog=24),
    "ade20k": Drawn(cat=13, dog=3),
    "ade20k_panoptic": Drawn(cat=13, dog=3),
    "VOC2012": Drawn(cat=8, dog=12),
    "carvana": Drawn(cat=255, dog=255),
    "numbers": Drawn(cat=700, dog=3),
}
SEEN = {  # root -> name and boxes of each segment, where these aren't a cat and a dog
    "cityscapes": [("car", [CAT]), ("person", [DOG])],
    "ade20k": [("person", [CAT]), ("sky", [DOG])],
    "ade20k_panoptic": [("person", [CAT]), ("sky", [DOG])],
    "carvana": [("car", [CAT, DOG])],
    "numbers": [("cell", [CAT]), ("cell", [DOG])],
    "object_masks": [("cell", [CAT]), ("cell", [DOG])],
    "stage1_train": [("nucleus", [CAT]), ("nucleus", [DOG])],
}
BESIDE = {  # root -> files that tools and systems leave there, which pictures don't show
    "roboflow_coco": ["README.dataset.txt", "README.roboflow.txt"],
    "roboflow_masks": ["README.dataset.txt", "README.roboflow.txt"],
    "roboflow_yolo": ["README.dataset.txt", "README.roboflow.txt"],
    "cvat_masks": ["SegmentationObject/a.png"],
    "label_studio_yolo": ["notes.json"],
    "labelme": ["train/.DS_Store"],
    "labelme_voc": ["SegmentationClassNpy/a.npy", "SegmentationClassVisualization/a.jpg", "SegmentationObject/a.png"],
    "yolo": ["README.md", "labels/train.cache"],
    "coco": ["annotations/captions_train2017.json", "annotations/person_keypoints_train2017.json"],
    "cityscapes": ["README", *(f"gtFine/train/aachen/a_gtFine_{end}" for end in ("color.png", "instanceIds.png", "polygons.json"))],
    "ade20k": ["objectInfo150.txt", "sceneCategories.txt"],
    "VOC2012": ["ImageSets/Main/train.txt", "ImageSets/Segmentation/trainval.txt", "SegmentationObject/2007_000001.png"],
    "Dataset001_pets": ["imagesTs/c_0000.png"],
    "walk": [".DS_Store", "images/Thumbs.db", "images/._a.jpg", "masks/.ipynb_checkpoints/a-checkpoint.png"],
    "carvana": ["metadata.csv", "train_masks.csv"],
    "parquet": ["README.md"],
}
UNLABELLED = {"VOC2012": 1}  # root -> photos that no list names


def draw(tree: LayoutTree, folder: Path) -> None:
    """Makes the files of a picture."""
    files = [folder / path for path in tree.files]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
    if tree.root in DATASETS:
        DATASETS[tree.root](folder / tree.root)
    else:
        # photos and masks are there when others are written that name them
        for path in sorted(files, key=lambda path: path.suffix not in (".jpg", ".png")):
            writer_of(path.relative_to(folder).as_posix())(path, Scene(files, folder / tree.root, VALUES.get(tree.root, Drawn())))
    for name in BESIDE.get(tree.root, ()):
        write_beside(folder / tree.root / name)
    if tree.root.endswith(".zip"):
        inner = (folder / tree.root).rename(folder / "zipped")
        shutil.make_archive(str(folder / tree.root.removesuffix(".zip")), "zip", inner)


def seen(root: str) -> list[tuple[str, list[Box]]]:
    """Name and boxes of each segment of an image, the background aside."""
    return SEEN.get(root, [("cat", [CAT]), ("dog", [DOG])])


def write_beside(path: Path) -> None:
    """A file that isn't read. Pictures are whole, and others are short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".jpg", ".png") and not path.name.startswith("."):
        write_photo(path)
    else:
        path.write_text("{}" if path.suffix == ".json" else "beside\n")


def text(content: str) -> Callable[[Path, Scene], None]:
    """A writer of a text."""
    return lambda path, scene: path.write_text(content)  # the scene changes nothing


WRITERS: tuple[tuple[str, Callable[[Path, Scene], None]], ...] = (  # pattern of a path -> what writes it; the first counts
    ("stage1_train/*/masks/*.png", write_object),
    ("object_masks/masks/*.png", write_object),
    ("ade20k_panoptic/annotations_instance/*.png", write_ade_instances),
    ("coco_panoptic/annotations/*.png", write_panoptic_png),
    ("cvat_masks/*.png", write_colours),
    ("colours/*.png", write_colours),
    ("VOC2012/*.png", write_outlined),
    ("*.png", write_values),
    ("cvat_coco/*.json", write_cvat_coco),
    ("roboflow_coco/*.json", write_roboflow),
    ("label_studio/*.json", write_label_studio),
    ("label_studio_coco/*.json", write_label_studio_coco),
    ("labelme/*.json", write_labelme),
    ("via/*.json", write_via),
    ("via3/*.json", write_via3),
    ("lvis/*.json", write_lvis),
    ("coco_panoptic/*.json", write_panoptic),
    ("*/dataset.json", text('{"channel_names": {"0": "rgb"}, "labels": {"background": 0, "cat": 1, "dog": 2}}')),
    ("*.json", write_coco),
    ("*/ImageSets/*.txt", write_list),
    ("cvat_yolo/train.txt", write_photo_list),
    ("label_studio_yolo/classes.txt", text("cat\ndog\n")),
    ("*/classes.txt", text("background\ncat\ndog\n")),
    ("*/class_names.txt", text("__ignore__\n_background_\ncat\ndog\n")),
    ("*/labelmap.txt", text(LABEL_MAP)),
    ("*/obj.names", text("cat\ndog\n")),
    ("*/_classes.csv", text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")),
    ("*/class_dict.csv", text(COLOUR_TABLE)),
    ("*.txt", write_text_label),
    ("*.yaml", write_yaml),
    ("*.xml", text("<annotation><object><name>cat</name><bndbox/></object></annotation>")),
)


def writer_of(path: str) -> Callable[[Path, Scene], None]:
    """
    Raises:
        LookupError: nothing here writes such a file.
    """
    if is_photo(Path(path)):
        return write_photo
    for pattern, writer in WRITERS:
        if fnmatch(path, pattern):
            return writer
    raise LookupError(f"{path} isn't drawn; add a line for it to WRITERS")


def rows(folder: Path) -> datasets.Dataset:
    """Two photos with their masks."""
    folder.mkdir(parents=True)
    entries = []
    for stem in "ab":
        photo, mask = folder / f"{stem}.jpg", folder / f"{stem}.png"
        write_photo(photo)
        write_values(mask, Scene([], folder, Drawn()))
        entries.append({"image": {"bytes": photo.read_bytes(), "path": None}, "label": {"bytes": mask.read_bytes(), "path": None}})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Image()})
    return datasets.Dataset.from_list(entries, features=features)


def build_parquet(root: Path) -> None:
    rows(root.with_name(f"{root.name}_rows")).to_parquet(root / "data/train-00000-of-00001.parquet")


def build_imagefolder(root: Path) -> None:
    shutil.rmtree(root / "train")
    rows(root / "train")
    lines = [json.dumps({"file_name": f"{stem}.jpg", "mask_file_name": f"{stem}.png"}) for stem in "ab"]
    (root / "train/metadata.jsonl").write_text("\n".join(lines))


def build_saved(root: Path) -> None:
    datasets.DatasetDict(train=rows(root.with_name(f"{root.name}_rows"))).save_to_disk(root)


DATASETS: dict[str, Callable[[Path], None]] = {"parquet": build_parquet, "imagefolder": build_imagefolder, "saved": build_saved}
