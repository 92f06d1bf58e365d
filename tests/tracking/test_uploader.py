"""What the machine does meanwhile is told in the units that its names say."""

import socket

import psutil
import pytest

from pipeline.tracking.uploader import MEGABYTE, SystemMetrics

SENT = 20_000_000  # bytes


@pytest.fixture
def traffic() -> None:
    """Some megabytes that came and went before."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        receiver, _ = server.accept()
        with receiver:
            for _ in range(SENT // 10_000):
                sender.sendall(bytes(10_000))
                receiver.recv(10_000, socket.MSG_WAITALL)


@pytest.mark.parametrize("way", ["receive", "transmit"])
def test_the_network_s_traffic_is_counted_from_the_training_s_beginning(way: str, traffic: None) -> None:
    name = {"receive": "bytes_recv", "transmit": "bytes_sent"}[way]
    before = getattr(psutil.net_io_counters(), name)
    if before < SENT:
        pytest.skip("this machine does not count what it sends to itself")
    metrics = SystemMetrics()
    told = metrics.sample()[f"system/network_{way}_megabytes"]
    assert 0 <= told <= (getattr(psutil.net_io_counters(), name) - before) / MEGABYTE + 0.1


def test_memory_and_disk_are_told_in_percent_and_in_megabytes() -> None:
    told = SystemMetrics().sample()
    memory, disk = psutil.virtual_memory(), psutil.disk_usage("/")
    assert told["system/system_memory_usage_percentage"] == pytest.approx(100 * memory.used / memory.total, abs=5)
    assert told["system/system_memory_usage_megabytes"] == pytest.approx(memory.used / MEGABYTE, rel=0.2)
    assert told["system/disk_usage_percentage"] == pytest.approx(disk.percent, abs=5)
    assert told["system/disk_available_megabytes"] == pytest.approx(disk.free / MEGABYTE, rel=0.2)
