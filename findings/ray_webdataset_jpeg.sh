#!/usr/bin/env bash
# ray 2.60.0, ray.data.read_webdataset: a member called a.jpg comes as an array of its pixels, the same bytes called a.jpeg or
# a.JPG (ImageNet's end in .JPEG) as undecoded bytes, without a word; both endings in one archive end in a ValueError
# about the column jpg.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'ray[data]==2.60.0' pillow==13.0.0 pandas
cd "$folder"
export RAY_USAGE_STATS_ENABLED=0
venv/bin/python - <<'PYTHON'
import io
import tarfile

import ray
from PIL import Image

content = io.BytesIO()
Image.new("RGB", (8, 6)).save(content, "JPEG")


def read(name, endings):
    with tarfile.open(name, "w") as archive:
        for number, ending in enumerate(endings):
            member = tarfile.TarInfo(f"{number}.{ending}")
            member.size = len(content.getvalue())
            archive.addfile(member, io.BytesIO(content.getvalue()))
    return ray.data.read_webdataset(name).take_all()


ray.init("local", num_cpus=1, log_to_driver=False, logging_level="ERROR")
seen = {
    ending: [type(row[ending]).__name__ for row in read(f"{number}.tar", (ending, ending))]
    for number, ending in enumerate(("jpg", "jpeg", "JPG", "JPEG"))
}
print(seen)
assert seen == {
    "jpg": ["ndarray"] * 2, "jpeg": ["bytes"] * 2, "JPG": ["bytes"] * 2, "JPEG": ["bytes"] * 2,
}  # fmt: skip
try:
    read("mixed.tar", ("jpg", "jpeg", "JPG", "JPEG"))
except ValueError as error:
    print(str(error).splitlines()[-3:])
    assert "cast column jpg" in str(error)
else:
    raise SystemExit("the endings were read side by side")
PYTHON
