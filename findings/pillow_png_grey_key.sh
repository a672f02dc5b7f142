#!/usr/bin/env bash
# Pillow 13.0.0 brings the pixels of a grey PNG of 2 or 4 bits to 8 bits (0, 85, 170, 255), and leaves the grey that its header
# calls transparent (tRNS) as it is stored: key 1 of 2 bits is compared with 85 and matches nothing, so what is transparent comes
# out opaque, and key 3 of 4 bits likewise. Of 1 and of 8 bits it is right. By the standard the key is a number as stored.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import struct
import zlib

import numpy as np
from PIL import Image


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


for depth in (1, 2, 4, 8):
    numbers = (np.arange(16) % 2**depth).astype(np.uint8)
    row = b"\0" + np.packbits(np.unpackbits(numbers[:, None], axis=1)[:, -depth:].ravel()).tobytes()
    for key in sorted({0, 1, min(3, 2**depth - 1)}):
        with open("a.png", "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 1, depth, 0, 0, 0, 0)))
            file.write(chunk(b"tRNS", struct.pack(">H", key)) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b""))
        transparent = np.asarray(Image.open("a.png").convert("RGBA"))[0, :, 3] == 0
        print(f"{depth} bits, key {key}: transparent are {transparent.sum()} of {(numbers == key).sum()} pixels")
        assert transparent.any() == (key == 0 or depth in (1, 8))
PYTHON
