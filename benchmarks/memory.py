"""Peak memory of this process (Linux alone; 0 elsewhere)."""

from pathlib import Path

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def forget_peak() -> None:
    """Set the peak of this process to what it holds now: the imports took more for a moment."""
    if CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5")


def held_mebibytes(field: str = "VmHWM") -> float:
    """The peak ("VmHWM") or what's held now ("VmRSS"; "RssAnon": without mapped files)."""
    if not STATUS.exists():
        return 0.0
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024
