"""torch.compile may fail in many ways; none of them costs a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from l2rclip_lite.compiling import compile_image_tower
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.training import fit


def test_a_compiler_that_fails_is_a_sentence_and_the_run_goes_on(
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The model is what it was: same names, same features, same training as without the option."""

    def broken(self: torch.nn.Module, *args: object, **options: object) -> None:
        def call(*given: object, **named: object) -> None:
            raise RuntimeError("no C++ compiler\nwas found, and so on")

        self._compiled_call_impl = call

    monkeypatch.setattr(torch.nn.Module, "compile", broken)
    model = L2RCLIP.build(leaves.ranks, small)
    why = compile_image_tower(model)
    assert why == "the image tower trains uncompiled, because torch.compile failed: no C++ compiler"
    assert all(parameter.grad is None for parameter in model.parameters())
    short = replace(small, epochs1=1, epochs2=1)
    one = fit(leaves, replace(short, compile=True), tmp_path / "one", quiet=True)
    assert capsys.readouterr().err == f"note: {why}\n"
    assert one.history == fit(leaves, short, tmp_path / "two", quiet=True).history


@pytest.mark.filterwarnings("ignore")
def test_compiled_it_computes_the_same(leaves: OrdinalDataset, small: Config) -> None:
    """Traced and differentiated by the compiler, whose code generator would take a minute: the same to 1e-5."""
    plain, model = (L2RCLIP.build(leaves.ranks, small) for _ in range(2))
    pixels = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    assert compile_image_tower(model, backend="aot_eager") == ""
    assert model.towers.image_network()._compiled_call_impl is not None
    features, expected = (one.encode_bytes(pixels) for one in (model, plain))
    assert torch.allclose(features, expected, atol=1e-5)
    assert model.state_dict().keys() == plain.state_dict().keys()
