"""ONNX Runtime Web, which runs the model in the browser: two files of an npm package, fetched once and kept.

python -m eomt.train_scripts.web.runtime     fetches it before there is a page to write, as for tests without a network
"""

import base64
import hashlib
import io
import os
import tarfile
import urllib.request
from pathlib import Path

from eomt.train_scripts.data.command import command

VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # as npm gives it
REGISTRY = "https://registry.npmjs.org"
FILES = {  # in the npm package's folder `dist` -> beside the page; some servers take .mjs for no script
    "ort.wasm.bundle.min.mjs": "ort.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
TIMEOUT = 120  # seconds without an answer


def runtime_folder(given: str | Path | None = None) -> Path:
    """A folder with `FILES`, by their names in the npm package.

    Args:
        given: a folder that has them, such as `node_modules/onnxruntime-web/dist`. By default they are fetched from the npm
            registry (that of `npm_config_registry`, if it is set) and kept in the user's cache.

    Raises:
        ValueError: the given folder lacks a file.
        OSError: the registry doesn't answer, or gives another file than was published.
    """
    if given is not None:
        if lacking := [name for name in FILES if not (Path(given) / name).is_file()]:
            raise ValueError(
                f"runtime={str(given)!r} lacks {', '.join(lacking)}; give the folder dist of the npm package onnxruntime-web "
                f"({VERSION}), or none to have it fetched"
            )
        return Path(given)
    folder = cache_folder()
    if not all((folder / name).is_file() for name in FILES):
        _unpack(_download(), folder)
    return folder


def cache_folder() -> Path:
    """Where fetched files are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "eomt" / f"onnxruntime-web-{VERSION}"


def _download() -> bytes:
    """The npm package, a tar archive of 33 MB."""
    registry = os.environ.get("npm_config_registry", REGISTRY).rstrip("/")
    url = f"{registry}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    advice = "run `npm pack` or a browser where there is a network, and give the unpacked folder package/dist as runtime"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            archive = response.read()
    except OSError as error:
        raise OSError(f"ONNX Runtime Web could not be fetched from {url} ({error}); {advice}") from error
    if hashlib.sha512(archive).digest() != base64.b64decode(SHA512):
        raise OSError(f"{url} is not the archive that was published, by its SHA-512; {advice}")
    return archive


def _unpack(archive: bytes, folder: Path) -> None:
    """Writes the files of an npm package's archive that a page needs."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        for name in FILES:
            part = folder / f"{name}.partial-{os.getpid()}"
            part.write_bytes(package.extractfile(f"package/dist/{name}").read())
            part.replace(folder / name)  # whole, or not there


@command
def main(words: list[str]) -> None:
    if words:
        raise ValueError(f"{' '.join(words)}: this command takes no options")
    print(runtime_folder())


if __name__ == "__main__":
    main()
