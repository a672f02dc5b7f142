#!/usr/bin/env bash
# torch 2.13.0 (CPU build, MKL 2024.2, oneDNN 3.12), x86-64. `torch.set_float32_matmul_precision("medium")` is documented
# to trade precision for speed. On AMD processors with AVX-512 it trades nothing: products of float32 then go to oneDNN
# instead of MKL, which computes them in float32 all the same, and with twice as wide vectors: MKL takes its AVX2 kernels
# on AMD. Seen on an AMD EPYC of the fifth generation, one thread, 2,048 x 384 by 384 x 2,048: 107 and 240 GFLOP/s, largest
# error against float64 about 5e-5 and 9e-5 (bfloat16's would be 0.1 and more). On Intel processors with AMX the same
# setting does round to bfloat16, as documented. Needs an AMD processor with AVX-512; on others it says so and passes.
set -euo pipefail
if ! grep -q AuthenticAMD /proc/cpuinfo || ! grep -q avx512f /proc/cpuinfo; then
    echo "not an AMD processor with AVX-512: nothing to see here"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.0
"$folder/venv/bin/python" - <<'EOF'
import statistics
import time

import torch

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
one, other = torch.randn(2, 2048, 384, generator=generator)
exact = one.double() @ other.double().T


def measured(precision: str) -> tuple[float, float]:
    """Processor seconds of a product, and its largest error."""
    torch.set_float32_matmul_precision(precision)
    error = float((one @ other.T - exact).abs().max())
    seconds = []
    for _ in range(15):
        before = time.process_time()
        one @ other.T
        seconds.append(time.process_time() - before)
    return statistics.median(seconds), error


(highest, error_of_highest), (medium, error_of_medium) = measured("highest"), measured("medium")
operations = 2 * 2048 * 2048 * 384 / 1e9
print(f"highest: {operations / highest:.0f} GFLOP/s, largest error {error_of_highest:.1e}")
print(f"medium:  {operations / medium:.0f} GFLOP/s, largest error {error_of_medium:.1e}")
assert error_of_medium < 1e-3, "medium is rounded to bfloat16 now"
assert highest / medium > 1.3, "MKL is as fast as oneDNN now"
EOF
