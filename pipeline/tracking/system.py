"""What the machine is doing while a training runs, under the names that MLflow's pages group as system metrics.

Not MLflow's own monitor: that one imports all of MLflow, 1.5 s of processor time beside the training."""

import psutil
import pynvml

MEGABYTE = 1e6  # bytes


MACHINE = "system/"  # what its metrics' names begin with, which MLflow's pages show apart


class Machine:
    """Counts the network's traffic from its own making on."""

    def __init__(self) -> None:
        self.traffic = psutil.net_io_counters()
        psutil.cpu_percent()  # the first call has nothing to compare with
        self.gpus = _gpus()

    def sample(self) -> dict[str, float]:
        """Return metric → value; processors: the mean since the last sample, all others: now."""
        memory, disk, traffic = psutil.virtual_memory(), psutil.disk_usage("/"), psutil.net_io_counters()
        values = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MEGABYTE,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "disk_usage_megabytes": disk.used / MEGABYTE,
            "disk_usage_percentage": disk.percent,
            "disk_available_megabytes": disk.free / MEGABYTE,
            "network_receive_megabytes": (traffic.bytes_recv - self.traffic.bytes_recv) / MEGABYTE,
            "network_transmit_megabytes": (traffic.bytes_sent - self.traffic.bytes_sent) / MEGABYTE,
        }
        for number, gpu in enumerate(self.gpus):
            values |= {f"gpu_{number}_{name}": value for name, value in _use(gpu).items()}
        return {f"{MACHINE}{name}": round(value, 1) for name, value in values.items()}


def _gpus() -> list[object]:
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # no driver, no GPU
        return []


def _use(gpu: object) -> dict[str, float]:
    """Return what this GPU tells; some tell less."""
    values: dict[str, float] = {}
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
        values["memory_usage_megabytes"] = memory.used / MEGABYTE
        values["memory_usage_percentage"] = 100 * memory.used / memory.total
        values["utilization_percentage"] = pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
        values["power_usage_watts"] = pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000
    except pynvml.NVMLError:
        pass
    return values
