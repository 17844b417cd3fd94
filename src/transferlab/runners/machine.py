"""Describes this machine for plans and workers, without loading torch."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transferlab.errors import UserError


@dataclass(frozen=True)
class Machine:
    """A machine: device, its faster precision, number of GPUs (or cores), and name.

    Plans may be made for a machine that is not present (``is_here`` false).
    """

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    n_units: int
    name: str
    is_here: bool = True


def here(device: Literal["auto", "cpu", "cuda"] = "auto") -> Machine:
    """Describe this machine, or for ``cuda`` without a GPU here, one with a GPU.

    Args:
        device: ``auto`` is CUDA if an NVIDIA driver shows a GPU, else the CPU.
    """
    n_gpus = _visible_gpus()
    if device == "cuda" and not n_gpus:
        return Machine("cuda", "bf16", 1, "a CUDA GPU", is_here=False)
    if n_gpus and device != "cpu":
        return Machine("cuda", "bf16", n_gpus, "CUDA GPU")
    flags, model = _processor()
    # Autocast to bf16 is faster (1.7 times the images/s) only on processors that multiply in bf16.
    precision = "bf16" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else "fp32"
    return Machine("cpu", precision, usable_cores(), model)


def require_device(machine: Machine) -> None:
    """Raise UserError if CUDA is requested and no GPU is visible."""
    if not machine.is_here:
        raise UserError("no GPU is visible here", "--device cuda", "use --device cpu, or check the NVIDIA driver")


def usable_cores() -> int:
    """The number of cores that this process may use, given its affinity and its container's CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        limit, period = quota.read_text().split()
        if limit != "max":
            cores = min(cores, max(1, int(limit) // int(period)))
    return cores


def _visible_gpus() -> int:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return len([name for name in hidden.split(",") if name.strip() not in ("", "-1")])
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def _processor() -> tuple[set[str], str]:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return set(), platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    return set(named.get("flags", named.get("Features", "")).split()), named.get("model name", platform.machine())
