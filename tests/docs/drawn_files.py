"""Small files of every tool: photos of 64 x 48 pixels that show a cat and a dog, and the annotations of these.

Other datasets have other names for the two, and some have one name for both.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import datasets
import numpy as np
from layout_trees import LayoutTree
from PIL import Image

SIZE = (48, 64)  # H, W
Box = tuple[int, int, int, int]  # left, top, right, bottom
CAT: Box = (6, 6, 28, 22)
DOG: Box = (34, 24, 60, 44)
BOXES = {"cat": CAT, "dog": DOG}
PALETTE = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0)}
COLOUR_TABLE = "name,r,g,b\nbackground,0,0,0\ncat,128,0,0\ndog,0,128,0\n"
LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"
VIA3_ATTRIBUTE = {"1": {"aname": "animal", "options": {"0": "cat", "1": "dog"}}}


@dataclass(frozen=True)
class Drawn:
    """What the files of one dataset show.

    Args:
        cat, dog: the values that masks have for the two boxes.
        base: the value of all other pixels.
    """

    cat: int = 1
    dog: int = 2
    base: int = 0


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
    if tree.root.endswith(".zip"):
        inner = (folder / tree.root).rename(folder / "zipped")
        shutil.make_archive(str(folder / tree.root.removesuffix(".zip")), "zip", inner)


def seen(root: str) -> list[tuple[str, list[Box]]]:
    """Name and boxes of each segment of an image, the background aside."""
    return SEEN.get(root, [("cat", [CAT]), ("dog", [DOG])])


@dataclass(frozen=True)
class Scene:
    """The dataset that a file is in."""

    files: list[Path]
    root: Path
    values: Drawn

    @property
    def photos(self) -> list[Path]:
        return [path for path in self.files if is_photo(path)]

    def photos_of(self, path: Path) -> list[Path]:
        """The photos that a file of annotations is of: those beside it, those of its split, or all."""
        word = re.search(r"train|val|test|default", path.stem)
        beside = [photo for photo in self.photos if photo.parent == path.parent]
        of_split = [photo for photo in self.photos if word and any(word[0] in part for part in photo.parts[-3:-1])]
        return beside or of_split or self.photos


def is_photo(path: Path) -> bool:
    """Whether a file is a photo; other pictures are masks."""
    if path.suffix == ".jpg":
        return True
    return path.suffix == ".png" and (path.stem.endswith(("_leftImg8bit", "_0000")) or path.parent.name == "images")


def write_photo(path: Path, scene: Scene | None = None) -> None:
    pixels = np.random.default_rng(len(path.name)).integers(90, 160, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def values_of(drawn: Drawn) -> np.ndarray:
    """(H, W) of a mask."""
    values = np.full(SIZE, drawn.base, dtype=np.int64)
    for value, (left, top, right, bottom) in ((drawn.cat, CAT), (drawn.dog, DOG)):
        values[top:bottom, left:right] = value
    return values


def write_values(path: Path, scene: Scene) -> None:
    values = values_of(scene.values)
    Image.fromarray(values.astype(np.uint16 if values.max() > 255 else np.uint8)).save(path)


def write_colours(path: Path, scene: Scene) -> None:
    values, pixels = values_of(Drawn()), np.zeros((*SIZE, 3), dtype=np.uint8)
    for value, colour in PALETTE.items():
        pixels[values == value] = colour
    Image.fromarray(pixels).save(path)


def write_outlined(path: Path, scene: Scene) -> None:
    """Pascal VOC's palette PNGs, in which a line around each object is 255."""
    values = values_of(scene.values)
    for left, top, right, bottom in (CAT, DOG):
        values[top - 1, left - 1 : right + 1] = values[bottom, left - 1 : right + 1] = 255
    image = Image.fromarray(values.astype(np.uint8), "L").convert("P")
    image.putdata(values.ravel().tolist())
    image.save(path)


def write_object(path: Path, scene: Scene) -> None:
    left, top, right, bottom = CAT if path.stem.endswith("1") else DOG
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(path)


def write_ade_instances(path: Path, scene: Scene) -> None:
    """Red is the class among the things, of which a person is the fourth, and green the number."""
    pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
    pixels[CAT[1] : CAT[3], CAT[0] : CAT[2]] = (4, 1, 0)
    Image.fromarray(pixels).save(path)


def polygon(box: Box) -> list[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right, top, right, bottom, left, bottom]


def points(box: Box) -> list[list[float]]:
    numbers = polygon(box)
    return [list(point) for point in zip(numbers[::2], numbers[1::2], strict=True)]


def write_text_label(path: Path, scene: Scene) -> None:
    scale = [SIZE[1], SIZE[0]] * 4
    shares = [[edge / side for edge, side in zip(polygon(box), scale, strict=True)] for box in (CAT, DOG)]
    path.write_text("\n".join(" ".join(map(str, [index, *numbers])) for index, numbers in enumerate(shares)))


def coco(path: Path, scene: Scene, name_of: Callable[[Path], str] = lambda photo: photo.name, first: int = 1, **more) -> dict:
    """COCO's instances of the photos of a file.

    Args:
        name_of: gives what the json calls a photo.
        first: id of the first category.
        more: entries of each annotation.
    """
    photos = scene.photos_of(path)
    images = [{"id": index, "file_name": name_of(photo), "height": SIZE[0], "width": SIZE[1]} for index, photo in enumerate(photos)]
    annotations = [
        {"image_id": image["id"], "category_id": first + index, "segmentation": [polygon(box)], "iscrowd": 0} | more
        for image in images
        for index, box in enumerate(BOXES.values())
    ]
    annotations = [{"id": number, **entry} for number, entry in enumerate(annotations, 1)]
    categories = [{"id": first + index, "name": name} for index, name in enumerate(BOXES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(path: Path, scene: Scene) -> None:
    path.write_text(json.dumps(coco(path, scene)))


def write_cvat_coco(path: Path, scene: Scene) -> None:
    """Objects that were drawn with a brush: run lengths, and each is marked as a crowd."""
    content = coco(path, scene, iscrowd=1, attributes={"occluded": False})
    for entry in content["annotations"]:
        left, top, right, bottom = list(BOXES.values())[entry["category_id"] - 1]
        mask = np.zeros(SIZE, dtype=np.uint8)
        mask[top:bottom, left:right] = 1
        changes = np.flatnonzero(np.diff(np.r_[0, mask.ravel(order="F")])) if mask.any() else []
        counts = np.diff(np.r_[0, changes, mask.size]).tolist()
        entry["segmentation"] = {"size": list(SIZE), "counts": counts}
    path.write_text(json.dumps(content))


def write_roboflow(path: Path, scene: Scene) -> None:
    content = coco(path, scene)
    content["categories"] = [{"id": 0, "name": "pets", "supercategory": "none"}] + [
        entry | {"supercategory": "pets"} for entry in content["categories"]
    ]
    path.write_text(json.dumps(content))


def write_lvis(path: Path, scene: Scene) -> None:
    content = coco(path, scene)
    for image in content["images"]:
        image["coco_url"] = f"http://images.example.org/train2017/{image.pop('file_name')}"
    path.write_text(json.dumps(content))


def write_label_studio_coco(path: Path, scene: Scene) -> None:
    path.write_text(json.dumps(coco(path, scene, lambda photo: f"images/{photo.name}", first=0)))


def write_panoptic(path: Path, scene: Scene) -> None:
    content = coco(path, scene)
    entries = [
        {
            "image_id": image["id"],
            "file_name": f"{Path(image['file_name']).stem}.png",
            "segments_info": [{"id": index, "category_id": index, "iscrowd": 0} for index in (1, 2)],
        }
        for image in content["images"]
    ]
    categories = [{**entry, "isthing": 1} for entry in content["categories"]]
    path.write_text(json.dumps({"images": content["images"], "annotations": entries, "categories": categories}))


def write_panoptic_png(path: Path, scene: Scene) -> None:
    values = values_of(Drawn()).astype(np.uint8)
    Image.fromarray(np.stack([values, np.zeros_like(values), np.zeros_like(values)], -1)).save(path)


def write_label_studio(path: Path, scene: Scene) -> None:
    def region(name: str, box: Box) -> dict:
        percent = [[100 * x / SIZE[1], 100 * y / SIZE[0]] for x, y in points(box)]
        value = {"points": percent, "closed": True, "polygonlabels": [name]}
        return {"id": name, "type": "polygonlabels", "original_width": SIZE[1], "original_height": SIZE[0], "value": value}

    tasks = [
        {
            "id": number,
            "data": {"image": f"/data/upload/1/0123abcd-{photo.name}"},
            "annotations": [{"result": [region(*entry) for entry in BOXES.items()]}],
        }
        for number, photo in enumerate(scene.photos_of(path))
    ]
    path.write_text(json.dumps(tasks))


def write_labelme(path: Path, scene: Scene) -> None:
    shapes = [{"label": name, "points": points(box), "shape_type": "polygon", "group_id": None} for name, box in BOXES.items()]
    content = {"version": "5.5.0", "imagePath": f"{path.stem}.jpg", "imageData": None, "shapes": shapes}
    path.write_text(json.dumps(content | {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}))


def write_via(path: Path, scene: Scene) -> None:
    def region(name: str, box: Box) -> dict:
        numbers = polygon(box)
        shape = {"name": "polygon", "all_points_x": numbers[::2], "all_points_y": numbers[1::2]}
        return {"shape_attributes": shape, "region_attributes": {"animal": name}}

    regions = [region(*entry) for entry in BOXES.items()]
    entries = {f"{photo.name}1": {"filename": photo.name, "size": 1, "regions": regions} for photo in scene.photos_of(path)}
    path.write_text(json.dumps(entries))


def write_via3(path: Path, scene: Scene) -> None:
    photos = scene.photos_of(path)
    files = {str(number): {"fid": str(number), "fname": photo.name, "type": 2} for number, photo in enumerate(photos)}
    views = {key: {"fid_list": [key]} for key in files}
    regions = {
        f"{key}_{index}": {"vid": key, "xy": [7, *polygon(box)], "av": {"1": str(index)}}
        for key in files
        for index, box in enumerate(BOXES.values())
    }
    content = {"project": {}, "config": {}, "attribute": VIA3_ATTRIBUTE, "file": files, "metadata": regions, "view": views}
    path.write_text(json.dumps(content))


def write_list(path: Path, scene: Scene) -> None:
    """The stems of Pascal VOC's or CVAT's split; of VOC's photos the first is in train, and the second in val."""
    stems = [photo.stem for photo in scene.photos]
    path.write_text("\n".join({"train": stems[:1], "val": stems[1:2]}.get(path.stem, stems)))


def write_photo_list(path: Path, scene: Scene) -> None:
    path.write_text("\n".join(f"data/{photo.relative_to(scene.root).as_posix()}" for photo in scene.photos))


def write_yaml(path: Path, scene: Scene) -> None:
    """A data.yaml with the lists or folders of splits that are there, and the names of the classes."""
    entries = {
        "train": ("train.txt", "images/train", "train/images"),
        "val": ("images/val", "valid/images"),
    }
    lines = [f"{name}: {each}" for name, kinds in entries.items() for each in kinds if (scene.root / each).exists()][:2]
    path.write_text("\n".join([*lines, "names: [cat, dog]"]))


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
