#!/usr/bin/env bash
# Pillow 13.0.0 reads an uncompressed YCbCr TIFF whose colours are at half the resolution (YCbCrSubSampling 2, 2: four values of
# light, then one Cb and one Cr) as if each pixel had all three: a grey ramp becomes green and grey noise, without an error as long
# as enough bytes follow, as in a file of several strips. OpenCV (libtiff) reads the ramp; tifffile refuses.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 opencv-python-headless==4.14.0.94 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import struct

import cv2
import numpy as np
import tifffile
from PIL import Image

side, n_strips = 16, 8
light = np.linspace(0, 240, side * side).astype(np.uint8).reshape(side, side)
strips = [
    b"".join(light[y : y + 2, x : x + 2].tobytes() + bytes([128, 128]) for x in range(0, side, 2)) for y in range(0, side, 2)
]
size = len(strips[0])
starts = struct.pack(f"<{n_strips}L", *(8 + size * n for n in range(n_strips)))
sizes, bits = struct.pack(f"<{n_strips}L", *[size] * n_strips), struct.pack("<3H", 8, 8, 8)
at = 8 + size * n_strips
tags = [
    (256, 4, 1, side), (257, 4, 1, side), (258, 3, 3, at + 8 * n_strips), (259, 3, 1, 1), (262, 3, 1, 6), (273, 4, n_strips, at),
    (277, 3, 1, 3), (278, 4, 1, 2), (279, 4, n_strips, at + 4 * n_strips), (284, 3, 1, 1), (530, 3, 2, 2 | 2 << 16),
]
page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", *tag) for tag in tags) + bytes(4)
with open("a.tif", "wb") as file:
    file.write(b"II*\0" + struct.pack("<L", at + 8 * n_strips + 6) + b"".join(strips) + starts + sizes + bits + page)

by_opencv = cv2.imread("a.tif")[:, :, 0].astype(int)
seen = np.asarray(Image.open("a.tif").convert("RGB")).astype(int)
print("stored", light[0, :5].tolist(), "OpenCV", by_opencv[0, :5].tolist(), "Pillow", seen[0, :5].tolist())
assert np.abs(by_opencv - light).max() <= 2
assert np.abs(seen - light[:, :, None]).max() > 100
try:
    tifffile.imread("a.tif")
    raise SystemExit("tifffile reads it now")
except NotImplementedError as error:
    print("tifffile:", error)
PYTHON
