"""Tests of the artifact and of what `pruners.compress` asks for."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import pruners
from pruners.testing.method_suite import is_nearer
from pruners.testing.sparse.network import OddNetwork
from pruners.testing.sparse.setting import ScoreMethodSetting, equal


class ArtifactTests(ScoreMethodSetting):
    """Tests of the mask on disk, of a refit, and of wrong arguments."""

    @pytest.mark.parametrize("refit", ["layer", "sequential"])
    def test_kept_weights_are_refitted(self, refit: str, model: OddNetwork, tmp_path: Path) -> None:
        """Check that a refit leaves the mask as it is, and is the same saved and loaded."""
        mask = self.compressed(model, budget=300, rounds=1, refit=refit)
        assert equal(mask.masks, self.compressed(model, budget=300, rounds=1).masks)
        small = mask.apply(model)
        weights = dict(small.named_parameters())
        assert all((weights[name][~kept] == 0).all() for name, kept in mask.masks.items())
        assert mask.complete and mask.refit is not None
        assert mask.refit.kept == is_nearer(mask.refit)
        mask.save(tmp_path)
        assert equal(pruners.load(tmp_path).apply(model).state_dict(), small.state_dict())

    def test_what_is_needed_is_asked_for(self, model: OddNetwork) -> None:
        """Check that data, loss and example are errors that name them where they are needed and missing."""
        for need in self.described().needs:
            with pytest.raises(pruners.PrunerError, match=f"needs {need}="):
                self.compressed(model, keep_ratio=0.5, **{need: None})
        if "data" in self.described().needs:
            with pytest.raises(pruners.PrunerError, match="at least one batch"):
                self.compressed(model, keep_ratio=0.5, data=iter([]))
            with pytest.raises(pruners.PrunerError, match="batches"):
                self.compressed(model, keep_ratio=0.5, data=[torch.ones(3, 4, 6, 6)])

    def test_unknown_names_offer_the_nearest(self, model: OddNetwork) -> None:
        """Check that unknown methods, options and layers are errors that offer the nearest name."""
        with pytest.raises(pruners.UnknownMethod, match=self.method):
            pruners.compress(model, self.method + "s", keep_ratio=0.5)
        with pytest.raises(pruners.UnknownOption, match="allocation"):
            self.compressed(model, keep_ratio=0.5, alocation="erk")
        with pytest.raises(pruners.UnknownLayer, match=r"did you mean 'stem\.0'"):
            self.compressed(model, keep_ratio=0.5, exclude=["stem.1"])

    def test_round_trip(self, model: OddNetwork, tmp_path: Path) -> None:
        """Check that a mask that was saved and loaded is the same, and is kept in a bit a weight."""
        mask = self.compressed(model, keep_ratio=0.3, exclude=("gate",))
        mask.save(tmp_path)
        loaded = pruners.load(tmp_path)
        assert isinstance(loaded, pruners.Mask)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "masks.safetensors",
            "model.safetensors",
            "spec.json",
        ]
        stored = load_file(tmp_path / "masks.safetensors")
        assert {name.partition("/")[2] for name in stored} == mask.masks.keys()
        assert all(
            content.numel() <= -(-mask.masks[n.partition("/")[2]].numel() // 8)
            for n, content in stored.items()
        )
        assert equal(loaded.masks, mask.masks)
        assert loaded.options == mask.options and loaded.prunable == mask.prunable
        assert loaded.method == self.method
        assert equal(loaded.apply(model).state_dict(), mask.apply(model).state_dict())
        options = {option.name for option in self.described().all_options}
        assert loaded.options.keys() >= options | {"seed", "keep_ratio"}
