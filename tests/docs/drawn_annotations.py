"""Annotations of a scene as tools write them: json of each tool, texts of YOLO, and lists of photos."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from drawn_scene import BOXES, CAT, DOG, SIZE, Box, Scene


def polygon(box: Box) -> list[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right, top, right, bottom, left, bottom]


def points(box: Box) -> list[list[float]]:
    numbers = polygon(box)
    return [list(point) for point in zip(numbers[::2], numbers[1::2], strict=True)]


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


VIA3_ATTRIBUTE = {"1": {"aname": "animal", "options": {"0": "cat", "1": "dog"}}}


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


def write_text_label(path: Path, scene: Scene) -> None:
    scale = [SIZE[1], SIZE[0]] * 4
    shares = [[edge / side for edge, side in zip(polygon(box), scale, strict=True)] for box in (CAT, DOG)]
    path.write_text("\n".join(" ".join(map(str, [index, *numbers])) for index, numbers in enumerate(shares)))


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
