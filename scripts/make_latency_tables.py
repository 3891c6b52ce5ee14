"""Makes latency_tables/ from the collected public measurements; the same data gives the same files.

python scripts/make_latency_tables.py --data DIR
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml
from latency_sources import blocks, jetsons, v100
from latency_sources.common import Device, Made

from hwtickets.files import write_text
from hwtickets.tables.store import read_device, save_table

TABLES = Path(__file__).resolve().parents[1] / "latency_tables"
_BOARDS = {
    "agx-orin": "NVIDIA Jetson AGX Orin (Cortex-A78AE 2.2 GHz x 12 + Ampere@1.3 GHz Tensor Cores 64)",
    "agx-xavier": "NVIDIA Jetson AGX Xavier (Carmel 2.2 GHz x 8 + Volta Tensor Cores 64)",
    "nano": "NVIDIA Jetson Nano",
    "orin-nano": "NVIDIA Jetson Orin Nano",
    "tx2-nx": "NVIDIA Jetson TX2 NX(NV-Denver2 2.0Ghz x 2 + Cortex-A57 2.0Ghz x 4"
    " + 256-core NVIDIA Pascal iGPU)",
    "pi-4": "Raspberry Pi 4 Model B Broadcom BCM2711B0, Cortex-A72 (ARMv8) (1.8GHz x 4)",
    "pi-5": "Raspberry Pi 5 Broadcom BCM2712, Cortex-A76 (ARMv8) (2.4GHz x 4)",
    "pi-5-gpu": "Raspberry Pi 5 Broadcom BCM2712, VideoCore VII Graphics (Vulkan 1.2)",
}
_FITTED = "a profile fitted to whole networks, no operator measured on its own"


def devices(data: Path) -> Iterator[Device]:
    """Everything that ships."""
    yield v100.device(data)
    yield Device(
        "gtx-1080-ti",
        "NVIDIA GeForce GTX 1080 Ti",
        "measured segmentation blocks of FasterSeg, TensorRT 5 fp32, parts of 1024x2048 images",
        "tensorrt-fp32",
        [blocks.fasterseg(data)],
    )
    yield Device(
        "galaxy-note10",
        "Samsung Galaxy Note10",
        "measured MobileNetV3 blocks of once-for-all, TFLite fp32, images of 160 to 224 pixels",
        "tflite-fp32",
        [blocks.note10(data)],
    )
    yield Device(
        "pixel-3",
        "Google Pixel 3",
        "measured FBNet blocks, TFLite fp32, images of 32x32 pixels",
        "tflite-fp32",
        [blocks.fbnet(data, "pixel-3", "pixel3_delta_vs_skip_ms", "Google Pixel 3")],
    )
    yield from _raspberries(data)
    yield from _jetsons(data)


def _raspberries(data: Path) -> Iterator[Device]:
    pi4 = "raspberry-pi-4"
    yield Device(
        pi4,
        "Raspberry Pi 4 Model B",
        f"ncnn on the CPU: {_FITTED}; measured FBNet blocks in TFLite",
        "ncnn-cpu4-fp16",
        [
            *(jetsons.ncnn_profile(data, pi4, _BOARDS["pi-4"], threads) for threads in (1, 4)),
            blocks.fbnet(data, pi4, "raspi4_delta_vs_skip_ms", "Raspberry Pi 4"),
        ],
    )
    yield Device(
        "raspberry-pi-5",
        "Raspberry Pi 5",
        f"ncnn on the CPU or the GPU: {_FITTED}",
        "ncnn-cpu4-fp16",
        [
            *(jetsons.ncnn_profile(data, "raspberry-pi-5", _BOARDS["pi-5"], threads) for threads in (1, 4)),
            jetsons.ncnn_profile(data, "raspberry-pi-5", _BOARDS["pi-5-gpu"], 4, gpu=True),
        ],
    )


def _jetsons(data: Path) -> Iterator[Device]:
    yield Device(
        "jetson-nano",
        "NVIDIA Jetson Nano",
        f"TensorRT fp16 and fp32 by torch2trt, ncnn on the CPU or the GPU: {_FITTED}",
        "tensorrt-fp16",
        [
            jetsons.torch2trt_profile(
                data, "jetson-nano", "jetson-nano", "jetson_nano_fp16_ms", "Jetson Nano"
            ),
            jetsons.with_checked_cells(
                jetsons.cells_profile(data, "jetson-nano", "jetson_nano_fp32_ms", "Jetson Nano"),
                data,
                "jetson_nano_fp32_ms",
            ),
            *_ncnn(data, "nano", (1, 4), 1),
        ],
    )
    tx2 = "edgegpu_jetson_tx2_torch2trt_ms"
    yield Device(
        "jetson-tx2",
        "NVIDIA Jetson TX2",
        f"TensorRT fp32 by torch2trt: {_FITTED}",
        "tensorrt-fp32",
        [jetsons.with_checked_cells(jetsons.cells_profile(data, "jetson-tx2", tx2, "Jetson TX2"), data, tx2)],
    )
    yield _ncnn_device(data, "tx2-nx", "NVIDIA Jetson TX2 NX", "ncnn-vulkan-fp16", (1, 6))
    yield Device(
        "jetson-agx-xavier",
        "NVIDIA Jetson AGX Xavier",
        f"TensorRT fp16 by torch2trt, ncnn on the CPU or the GPU: {_FITTED}",
        "tensorrt-fp16",
        [
            jetsons.torch2trt_profile(data, "jetson-agx-xavier", "jetson-xavier", None, "Jetson AGX Xavier"),
            *_ncnn(data, "agx-xavier", (1, 2, 4, 8), 1),
        ],
    )
    yield Device(
        "jetson-orin-nano",
        "NVIDIA Jetson Orin Nano",
        f"measured layers of MobileNetV2, TensorRT 10.1 fp16; ncnn on the CPU or the GPU: {_FITTED}",
        "tensorrt-fp16",
        [jetsons.orin_layers(data), *_ncnn(data, "orin-nano", (1, 6), 1)],
    )
    yield _ncnn_device(data, "agx-orin", "NVIDIA Jetson AGX Orin", "ncnn-vulkan-fp16", (1, 2, 4, 8, 12))


def _ncnn_device(data: Path, board: str, title: str, default: str, threads: tuple[int, ...]) -> Device:
    text = f"ncnn on the CPU or the GPU: {_FITTED}"
    return Device(f"jetson-{board}", title, text, default, list(_ncnn(data, board, threads, 1)))


def _ncnn(data: Path, board: str, threads: tuple[int, ...], gpu_threads: int) -> Iterator[Made]:
    for count in threads:
        yield jetsons.ncnn_profile(data, f"jetson-{board}", _BOARDS[board], count)
    yield jetsons.ncnn_profile(data, f"jetson-{board}", _BOARDS[board], gpu_threads, gpu=True)


def write(device: Device, data: Path) -> None:
    """Writes a device's folder anew."""
    folder = TABLES / device.name
    if folder.exists():
        shutil.rmtree(folder)
    for made in device.tables:
        save_table(made.table, folder, made.packed)
        for text in made.texts:
            shutil.copyfile(data / "licenses" / text, folder / f"LICENSE-{text}")
    known = read_device(folder)
    head = {
        "device": device.name,
        "title": device.title,
        "description": device.description,
        "default": device.default,
    }
    text = yaml.safe_dump({**head, "tables": known["tables"]}, sort_keys=False, allow_unicode=True, width=110)
    write_text(folder / "device.yaml", text)
    errors = {
        key: entry["error"].get("median_error", entry["error"].get("rows_median_error"))
        for key, entry in known["tables"].items()
    }
    size_kb = sum(file.stat().st_size for file in folder.iterdir()) / 1000
    print(f"{device.name}: {size_kb:.0f} kB, median errors {errors}", flush=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with networks/, op_tables/, ncnn/, licenses/"
    )
    data = parser.parse_args().data
    for device in devices(data):
        write(device, data)


if __name__ == "__main__":
    main()
