"""Whether a transformer computes in bfloat16."""

import torch

from counterpoint.config.options import EncoderOptions
from counterpoint.errors import InputError


def has_bfloat16() -> bool:
    """Whether what will compute here has instructions for it: the GPU, or else the CPU."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def check_precision(options: EncoderOptions) -> None:
    """Refuse bfloat16 where nothing has instructions for it.

    Raises:
        InputError: the GPU, or else the CPU, has none.
    """
    if options.precision == "bfloat16" and not has_bfloat16():
        raise InputError(
            "encoder.precision: 'bfloat16' on a GPU or CPU without instructions for it (a CPU: "
            "AVX512-BF16, AMX-BF16 or ARM's) would be slower than float32; use float32, or null"
        )


def uses_bfloat16(options: EncoderOptions, device: torch.device) -> bool:
    """Whether to compute in bfloat16 on a device: as asked, or else on a GPU that can."""
    if options.precision is None:
        return device.type == "cuda" and has_bfloat16()
    return options.precision == "bfloat16"
