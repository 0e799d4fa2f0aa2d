"""Rows of Azure's public table of VM sizes: name, family, vCPUs, memory, GPUs, temporary disk."""

from __future__ import annotations

from dataclasses import dataclass

from lazulite.store.resources import Json

DEFAULT = "STANDARD_DS3_V2"


@dataclass(frozen=True, slots=True)
class VmSize:
    name: str
    family: str
    vcpus: int
    memory_gb: float
    gpus: int
    disk_mb: int  # temporary disk, MB


_TABLE = """
Standard_DS1_v2 standardDSv2Family 1 3.5 0 7168
Standard_DS2_v2 standardDSv2Family 2 7 0 14336
Standard_DS3_v2 standardDSv2Family 4 14 0 28672
Standard_DS4_v2 standardDSv2Family 8 28 0 57344
Standard_DS5_v2 standardDSv2Family 16 56 0 114688
Standard_DS11_v2 standardDSv2Family 2 14 0 28672
Standard_DS12_v2 standardDSv2Family 4 28 0 57344
Standard_DS13_v2 standardDSv2Family 8 56 0 114688
Standard_DS14_v2 standardDSv2Family 16 112 0 229376
Standard_DS15_v2 standardDSv2Family 20 140 0 286720
Standard_D1_v2 standardDv2Family 1 3.5 0 51200
Standard_D2_v2 standardDv2Family 2 7 0 102400
Standard_D3_v2 standardDv2Family 4 14 0 204800
Standard_D4_v2 standardDv2Family 8 28 0 409600
Standard_D11_v2 standardDv2Family 2 14 0 102400
Standard_D12_v2 standardDv2Family 4 28 0 204800
Standard_D13_v2 standardDv2Family 8 56 0 409600
Standard_D14_v2 standardDv2Family 16 112 0 819200
Standard_D2s_v3 standardDSv3Family 2 8 0 16384
Standard_D4s_v3 standardDSv3Family 4 16 0 32768
Standard_D8s_v3 standardDSv3Family 8 32 0 65536
Standard_D16s_v3 standardDSv3Family 16 64 0 131072
Standard_D32s_v3 standardDSv3Family 32 128 0 262144
Standard_D2_v3 standardDv3Family 2 8 0 51200
Standard_D4_v3 standardDv3Family 4 16 0 102400
Standard_D8_v3 standardDv3Family 8 32 0 204800
Standard_D2as_v4 standardDASv4Family 2 8 0 16384
Standard_D4as_v4 standardDASv4Family 4 16 0 32768
Standard_D8as_v4 standardDASv4Family 8 32 0 65536
Standard_D2a_v4 standardDAv4Family 2 8 0 51200
Standard_D4a_v4 standardDAv4Family 4 16 0 102400
Standard_D8a_v4 standardDAv4Family 8 32 0 204800
Standard_D2ds_v4 standardDDSv4Family 2 8 0 76800
Standard_D4ds_v4 standardDDSv4Family 4 16 0 153600
Standard_D8ds_v4 standardDDSv4Family 8 32 0 307200
Standard_D2ds_v5 standardDDSv5Family 2 8 0 76800
Standard_D4ds_v5 standardDDSv5Family 4 16 0 153600
Standard_D8ds_v5 standardDDSv5Family 8 32 0 307200
Standard_E2s_v3 standardESv3Family 2 16 0 32768
Standard_E4s_v3 standardESv3Family 4 32 0 65536
Standard_E8s_v3 standardESv3Family 8 64 0 131072
Standard_E16s_v3 standardESv3Family 16 128 0 262144
Standard_E32s_v3 standardESv3Family 32 256 0 524288
Standard_E4ds_v4 standardEDSv4Family 4 32 0 153600
Standard_E8ds_v4 standardEDSv4Family 8 64 0 307200
Standard_E16ds_v4 standardEDSv4Family 16 128 0 614400
Standard_F2s_v2 standardFSv2Family 2 4 0 16384
Standard_F4s_v2 standardFSv2Family 4 8 0 32768
Standard_F8s_v2 standardFSv2Family 8 16 0 65536
Standard_F16s_v2 standardFSv2Family 16 32 0 131072
Standard_F32s_v2 standardFSv2Family 32 64 0 262144
Standard_F64s_v2 standardFSv2Family 64 128 0 524288
Standard_F72s_v2 standardFSv2Family 72 144 0 589824
Standard_M64 standardMSFamily 64 1024 0 8192000
Standard_NC6 standardNCFamily 6 56 1 344064
Standard_NC12 standardNCFamily 12 112 2 688128
Standard_NC24 standardNCFamily 24 224 4 1474560
Standard_NC6s_v3 standardNCSv3Family 6 112 1 753664
Standard_NC12s_v3 standardNCSv3Family 12 224 2 1507328
Standard_NC24s_v3 standardNCSv3Family 24 448 4 3014656
Standard_NC24rs_v3 standardNCSv3Family 24 448 4 3014656
Standard_NC4as_T4_v3 standardNCASv3_T4Family 4 28 1 180224
Standard_NC8as_T4_v3 standardNCASv3_T4Family 8 56 1 368640
Standard_NC16as_T4_v3 standardNCASv3_T4Family 16 110 1 368640
Standard_NC64as_T4_v3 standardNCASv3_T4Family 64 440 4 2883584
Standard_NC24ads_A100_v4 StandardNCADSA100v4Family 24 220 1 983040
Standard_NC48ads_A100_v4 StandardNCADSA100v4Family 48 440 2 1966080
Standard_NC96ads_A100_v4 StandardNCADSA100v4Family 96 880 4 3932160
Standard_NC40ads_H100_v5 StandardNCadsH100v5Family 40 320 1 3670016
Standard_NC80adis_H100_v5 StandardNCadsH100v5Family 80 640 2 7340032
Standard_ND40rs_v2 standardNDSv2Family 40 672 8 2949120
Standard_ND96asr_v4 standardND96asrv4Family 96 900 8 6144000
Standard_ND96amsr_A100_v4 standardNDAMSv4_A100Family 96 1900 8 6553600
Standard_ND96isr_H100_v5 standardNDSH100v5Family 96 1900 8 28672000
Standard_NV6 standardNVFamily 6 56 1 344064
Standard_NV12 standardNVFamily 12 112 2 696320
Standard_NV12s_v3 standardNVSv3Family 12 112 1 335872
"""


def _rows() -> tuple[VmSize, ...]:
    rows = (line.split() for line in _TABLE.split("\n") if line)
    return tuple(VmSize(n, family, int(c), float(m), int(g), int(d)) for n, family, c, m, g, d in rows)


ALL = _rows()
_BY_NAME = {size.name.lower(): size for size in ALL}


def find(name: str) -> VmSize | None:
    """The row of that name, in any case."""
    return _BY_NAME.get(name.lower())


def document(size: VmSize) -> Json:
    """The row as ARM shows it, in both spellings: the SDK's entities read the snake case."""
    kinds = ["AmlCompute", "ComputeInstance"]
    return {
        "name": size.name,
        "family": size.family,
        "vCPUs": size.vcpus,
        "v_cp_us": size.vcpus,
        "gpus": size.gpus,
        "osVhdSizeMB": 1047552,
        "os_vhd_size_mb": 1047552,
        "maxResourceVolumeMB": size.disk_mb,
        "max_resource_volume_mb": size.disk_mb,
        "memoryGB": size.memory_gb,
        "memory_gb": size.memory_gb,
        "lowPriorityCapable": True,
        "low_priority_capable": True,
        "premiumIO": "s" in size.name.rsplit("_", 2)[1].lower(),
        "premium_io": "s" in size.name.rsplit("_", 2)[1].lower(),
        "estimatedVMPrices": {"billingCurrency": "USD", "unitOfMeasure": "OneHour", "values": []},
        "supportedComputeTypes": kinds,
        "supported_compute_types": kinds,
    }
