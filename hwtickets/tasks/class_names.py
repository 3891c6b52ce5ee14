"""Class names in words, for folders that are named by a code: ImageNet's synsets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hwtickets.errors import UsageError
from hwtickets.files import read_text

#: Files that are looked for, in this order: ours, ImageNet's own, and the one of its Kaggle edition.
NAME_FILES = ("classes.txt", "synset_words.txt", "LOC_synset_mapping.txt")


def class_names(folder: Path, class_folders: list[str]) -> list[str]:
    """Names of classes from a file beside their images, if there is one; else the names of their folders.

    Lines are `CLASS_FOLDER words`; of several synonyms with commas between them the first is taken, and
    classes of one name (ImageNet has two cranes) carry their folder's.

    Args:
        folder: Where the file may lie.
        class_folders: Names of the class folders, in the order of the labels.

    Raises:
        UsageError: A class folder has no line.
        HwticketsError: The file is damaged.
    """
    path = next((folder / name for name in NAME_FILES if (folder / name).is_file()), None)
    if path is None:
        return class_folders
    lines = [line.split(maxsplit=1) for line in read_text(path, "list of class names").splitlines()]
    words = {line[0]: line[-1].split(",")[0].strip() for line in lines if line}
    for name in class_folders:
        if name not in words:
            raise UsageError(f"{path} has no line for class folder '{name}'; add one, or remove the file.")
    counts = Counter(words[name] for name in class_folders)
    return [words[name] if counts[words[name]] == 1 else f"{words[name]} ({name})" for name in class_folders]
