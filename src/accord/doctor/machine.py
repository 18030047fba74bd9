"""What a machine has: processor, GPUs and disks, and how they are found."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from accord.data.cache import cache_folder
from accord.errors import UsageError
from accord.runs.folder import environment
from accord.runs.processors import allowed_cpus, cpu_quota, text_of, usable_cpus

_SHOWN_PACKAGES = ("accord", "torch", "tokenizers", "safetensors", "numpy")
_NVIDIA_FILES = ("/dev/nvidiactl", "/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Processor:
    """The processor, and how much of it this process may use.

    Attributes:
        name: as the system gives it.
        instructions: the widest that torch computes with, as in 'AVX512'.
        physical_cores: of the machine; None where the system doesn't say.
        logical_cores: of the machine.
        affinity_cpus: logical cores that this process may run on.
        affinity_cores: the physical cores that they belong to; None if unknown.
        quota_cpus: seconds of processor time per second that its control group has; None: no limit.
        load_average: processes that ran or waited to, over the last minute; None if unknown.
        torch_threads: that torch computes with.
        omp_num_threads: the environment's OMP_NUM_THREADS; None: not set.
    """

    name: str
    instructions: str
    physical_cores: int | None
    logical_cores: int
    affinity_cpus: int
    affinity_cores: int | None
    quota_cpus: float | None
    load_average: float | None
    torch_threads: int
    omp_num_threads: str | None

    @property
    def usable_cpus(self) -> int:
        """Logical cores that this process can keep busy."""
        return usable_cpus(self.affinity_cpus, self.quota_cpus)

    @property
    def useful_threads(self) -> int:
        """Threads that add to the rate of products: two on one physical core don't."""
        return min(self.usable_cpus, self.affinity_cores or self.usable_cpus)


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch finds.

    Attributes:
        name: as its driver gives it.
        memory_bytes: of its own.
        compute_capability: as in '9.0'.
        bfloat16: whether it has instructions for it.
    """

    name: str
    memory_bytes: int
    compute_capability: str
    bfloat16: bool


@dataclass(frozen=True)
class Disk:
    """Room in a folder.

    Attributes:
        path: of the folder, which the first run may still have to make.
        free_bytes: for this user, where the folder is or will be.
        writable: whether this user can write there.
    """

    path: str
    free_bytes: int
    writable: bool


def examine_processor(root: Path = Path("/")) -> Processor:
    """Find out about the processor.

    Args:
        root: of the file system.
    """
    logical, allowed = os.cpu_count() or 1, allowed_cpus()
    return Processor(
        name=environment(0, "cpu")["processor"] or platform.machine(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        physical_cores=_cores(range(logical), root),
        logical_cores=logical,
        affinity_cpus=len(allowed),
        affinity_cores=_cores(allowed, root),
        quota_cpus=cpu_quota(root),
        load_average=_load_average(),
        torch_threads=torch.get_num_threads(),
        omp_num_threads=os.environ.get("OMP_NUM_THREADS"),
    )


def _load_average() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def _cores(cpus: Iterable[int], root: Path) -> int | None:
    """Return how many physical cores some logical ones belong to."""
    topology = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    cores = {text_of(root / topology.format(cpu)) for cpu in cpus}
    return None if "" in cores else len(cores)


def examine_gpus() -> tuple[Gpu, ...]:
    """Find out about the GPUs that torch finds."""
    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        with torch.cuda.device(index):
            bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        gpus.append(
            Gpu(
                properties.name,
                properties.total_memory,
                f"{properties.major}.{properties.minor}",
                bfloat16,
            )
        )
    return tuple(gpus)


def has_nvidia_driver() -> bool:
    """Whether the system has one."""
    return any(Path(file).exists() for file in _NVIDIA_FILES)


def examine_disk(path: Path) -> Disk:
    """Find out about the disk that a folder is on.

    Args:
        path: of the folder.

    Raises:
        UsageError: if it is none.
    """
    try:
        free = shutil.disk_usage(path).free
        is_folder = path.is_dir()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such folder") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from None
    if not is_folder:
        raise UsageError(f"{path}: is not a folder")
    return Disk(str(path.absolute()), free, os.access(path, os.W_OK))


def examine_cache() -> Disk:
    """Find out about the disk that the token stores are on."""
    folder = cache_folder(create=False).absolute()
    existing = next(one for one in (folder, *folder.parents) if os.access(one, os.F_OK))
    writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return Disk(str(folder), shutil.disk_usage(existing).free, writable)


def versions() -> dict[str, str]:
    """Return those of Python, of packages and of the C library, which is '' where unknown."""
    packages = environment(0, "cpu")["packages"]
    return {
        "python": platform.python_version(),
        **{name: packages[name] for name in _SHOWN_PACKAGES},
        "libc": " ".join(platform.libc_ver()).strip(),
    }
