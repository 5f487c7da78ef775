"""Networks against torchvision's own layers, weight files of every kind, and the classical descriptor."""

from __future__ import annotations

import subprocess
import sys
import urllib.error

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image

from avlib.descriptors import (
    HOG_COLOR,
    l2_normalise,
    load_visual_descriptor,
    model_hash,
    resolve_weights,
    save_weights,
)
from avlib.descriptors.network import build_network, fused
from avlib.errors import ConfigError, ParameterError

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


@pytest.fixture
def small(tmp_path):
    """mobilenet_v3_small with arbitrary weights, and their file."""
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v3_small().eval()
    path = tmp_path / "small.pth"
    torch.save(network.state_dict(), path)
    return network, path


def one_line(error: pytest.ExceptionInfo[ConfigError]) -> str:
    message = str(error.value)
    assert "\n" not in message and message
    return message


@pytest.mark.parametrize(
    ("model", "dimension"), [("mobilenet_v2", 1280), ("resnet18", 512), ("alexnet", 4096), ("vit_b_32", 768)]
)
def test_is_the_input_of_the_last_linear_layer(tmp_path, model, dimension):
    torch.manual_seed(1)
    network = torchvision.models.get_model(model).eval()
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    descriptor = load_visual_descriptor(model, path)
    found = descriptor.describe(PICTURES)
    assert descriptor.name == model and descriptor.dimension == dimension
    assert found.shape == (3, dimension) and found.dtype == np.float32

    seen = []
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        network(((torch.tensor(PICTURES) / 255 - mean) / std).permute(0, 3, 1, 2))
    np.testing.assert_allclose(found, seen[0].numpy(), atol=1e-4)
    if model == "vit_b_32":  # the one here that takes a single size of picture
        with pytest.raises(ConfigError, match=r"picture_size_px = 160"):
            descriptor.describe(PICTURES[:, :160, :160])


def test_batches_of_any_size_give_the_same(small):
    descriptor = load_visual_descriptor("mobilenet_v3_small", small[1])
    many = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    together = descriptor.describe(many)
    np.testing.assert_allclose(together[33:35], descriptor.describe(many[33:35]), atol=1e-5)
    assert descriptor.describe(many[:0]).shape == (0, 1024)
    read_only = many[:1].copy()
    read_only.flags.writeable = False
    np.testing.assert_allclose(descriptor.describe(read_only), together[:1], atol=1e-5)


def test_where_a_gpu_has_no_room_pictures_go_through_in_halves(small):
    descriptor = load_visual_descriptor("mobilenet_v3_small", small[1])
    pictures = np.concatenate([PICTURES, 255 - PICTURES, PICTURES // 2])  # 9
    expected = descriptor.describe(pictures)
    seen, room = [], 2

    def full(_module, given):
        seen.append(len(given[0]))
        if seen[-1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    descriptor._network.register_forward_pre_hook(full)
    np.testing.assert_allclose(descriptor.describe(pictures), expected, atol=1e-4)
    assert sum(count for count in seen if count <= room) == 9 and max(seen) == 9
    room = 0
    with pytest.raises(ConfigError, match=r"cpu has no memory for pictures .*let fewer tasks share a GPU"):
        descriptor.describe(pictures)


def test_what_half_precision_cannot_hold_is_described_in_full(small):
    """Arithmetic of a GPU, on the CPU. The brighter picture's numbers leave its range between layers."""
    pictures = np.stack([np.full((224, 224, 3), 118, np.uint8), PICTURES[0]])
    exact, halved = (load_visual_descriptor("mobilenet_v3_small", small[1]) for _ in range(2))
    for descriptor in (exact, halved):
        next(descriptor._network.parameters()).data.mul_(20_000)
    halved._network, halved._precision = halved._network.half(), torch.float16
    with torch.inference_mode():
        batch = [halved._through(torch.from_numpy(pictures[i : i + 1]), halved._network) for i in range(2)]
    assert batch[0].isfinite().all() and not batch[1].isfinite().all()
    expected, found = exact.describe(pictures), halved.describe(pictures)
    np.testing.assert_array_equal(found[0], batch[0][0].float().numpy())
    np.testing.assert_allclose(found[1], expected[1], rtol=0.01, atol=0.01 * np.abs(expected[1]).max())
    np.testing.assert_allclose(found[0], expected[0], rtol=0.1, atol=0.1 * np.abs(expected[0]).max())


def with_statistics(network):
    """Normalisation layers that have something to do, as in a trained network."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.8, 1.2),
                (module.bias.data, -0.2, 0.2),
            ):
                value.uniform_(low, high)
    return network.eval()


@pytest.mark.parametrize(
    "model", ["mobilenet_v3_small", "resnet18", "densenet121", "googlenet", "shufflenet_v2_x0_5", "maxvit_t", "swin_t"]
)
def test_fusing_changes_no_number(model):
    torch.manual_seed(0)
    network = with_statistics(build_network(model))
    batch = torch.rand(2, 3, 224, 224)
    faster = fused(network)
    with torch.inference_mode():
        torch.testing.assert_close(faster(batch), network(batch), rtol=1e-5, atol=1e-4)

    def normalisations(module):
        return sum(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())

    assert normalisations(faster) < normalisations(network) or normalisations(network) == 0


def test_a_network_that_cannot_be_traced_stays_as_it_is():
    class Choosing(torch.nn.Module):
        def forward(self, batch):
            return batch if batch.sum() > 0 else -batch

    network = Choosing().eval()
    assert fused(network) is network


def test_float16_storage_and_formats_give_the_same(small, tmp_path):
    network, _ = small
    state = network.state_dict()
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    path, copy, old_format = tmp_path / "half.pth", tmp_path / "copy.safetensors", tmp_path / "old.pth"
    torch.save(half, path)
    torch.save(half, old_format, _use_new_zipfile_serialization=False)
    save_weights("mobilenet_v3_small", path, copy)
    assert safetensors.torch.load_file(copy)["features.0.0.weight"].dtype == torch.float16
    descriptors = [load_visual_descriptor("mobilenet_v3_small", file) for file in (path, copy, old_format)]
    assert len({d.model_hash for d in descriptors} | {model_hash("mobilenet_v3_small", copy)}) == 1
    described = [d.describe(PICTURES) for d in descriptors]
    np.testing.assert_array_equal(described[0], described[1])
    np.testing.assert_array_equal(described[0], described[2])
    full = load_visual_descriptor("mobilenet_v3_small", small[1])
    np.testing.assert_allclose(described[0], full.describe(PICTURES), atol=1e-2)
    assert full.model_hash != descriptors[0].model_hash


def test_names_of_old_files_are_understood(tmp_path):
    """densenet files say norm.1 for norm1, old ones have no batch counters, safetensors no version marks."""
    for model, old, new in (("densenet121", ".norm.1.", ".norm1."), ("mnasnet0_5", "", "")):
        state = torchvision.models.get_model(model).state_dict()
        state = {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")}
        path = tmp_path / f"{model}.safetensors"
        safetensors.torch.save_file({n.replace(new, old) if new else n: v for n, v in state.items()}, path)
        assert load_visual_descriptor(model, path).describe(PICTURES[:1]).any()


def test_weights_of_another_model(small, tmp_path):
    with pytest.raises(ConfigError) as error:
        load_visual_descriptor("resnet18", small[1])
    assert "do not fit resnet18" in one_line(error) and "missing" in one_line(error)
    with pytest.raises(ConfigError, match="do not fit"):
        save_weights("resnet18", small[1], tmp_path / "copy.safetensors")
    assert not (tmp_path / "copy.safetensors").exists()

    state = small[0].state_dict()
    state["classifier.3.weight"] = state["classifier.3.weight"][:10]
    torch.save(state, tmp_path / "fewer.pth")
    with pytest.raises(ConfigError) as error:
        load_visual_descriptor("mobilenet_v3_small", tmp_path / "fewer.pth")
    assert "classifier.3.weight: (10, 1024) torch.float32, not (1000, 1024)" in one_line(error)


def test_files_that_are_no_state_dict(small, tmp_path):
    network, good = small
    bad = {
        "whole.pth": lambda path: torch.save(network, path),
        "wrapped.pth": lambda path: torch.save({"epoch": 3, "model": network.state_dict()}, path),
        "list.pth": lambda path: torch.save([1, 2], path),
        "page.pth": lambda path: path.write_text("<html>not found</html>"),
        "empty.pth": lambda path: path.write_bytes(b""),
        "short.pth": lambda path: path.write_bytes(good.read_bytes()[:5000]),
        "page.safetensors": lambda path: path.write_text("<html>not found</html>"),
        "folder.pth": lambda path: path.mkdir(),
    }
    for name, write in bad.items():
        write(tmp_path / name)
        with pytest.raises(ConfigError) as error:
            load_visual_descriptor("mobilenet_v3_small", tmp_path / name)
        assert name in one_line(error)


def test_unknown_and_unusable_models(small):
    for model, hint in (
        ("mobilnet_v2", "mobilenet_v2"),
        ("zzz", "mobilenet_v3_small"),
        ("squeezenet1_0", ""),
    ):
        with pytest.raises(ConfigError) as error:
            load_visual_descriptor(model, small[1])
        assert model in one_line(error) and hint in one_line(error)
    with pytest.raises(ConfigError, match="linear"):
        network = torchvision.models.squeezenet1_0()
        torch.save(network.state_dict(), small[1])
        load_visual_descriptor("squeezenet1_0", small[1])


def test_device_and_shape_errors(small):
    for device in ("cuda:99", "nonsense"):
        with pytest.raises(ConfigError) as error:
            load_visual_descriptor("mobilenet_v3_small", small[1], device=device)
        assert device in one_line(error)
    descriptor = load_visual_descriptor("mobilenet_v3_small", small[1])
    for wrong in (PICTURES[0], PICTURES.astype(np.float32), PICTURES.transpose(0, 3, 1, 2)):
        for any_kind in (descriptor, load_visual_descriptor(HOG_COLOR, None)):
            with pytest.raises(ParameterError, match="pictures"):
                any_kind.describe(wrong)


def test_resolve_local_files(small):
    assert resolve_weights("mobilenet_v3_small", str(small[1])) == small[1]
    assert resolve_weights(HOG_COLOR, "DEFAULT") is None
    for model, weights in (
        ("mobilenet_v3_small", "/nowhere/weights.pth"),
        ("mobilenet_v3_small", "weights.onnx"),
        ("nonsense", "DEFAULT"),
        (HOG_COLOR, str(small[1])),
    ):
        with pytest.raises(ConfigError) as error:
            resolve_weights(model, weights)
        assert "describe.visual_" in one_line(error)
    for model, weights in ((HOG_COLOR, small[1]), ("mobilenet_v3_small", None)):
        with pytest.raises(ConfigError, match=r"describe\.visual_"):
            load_visual_descriptor(model, weights)


def test_default_is_downloaded_once_or_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    calls = []

    def offline(url, *_, **__):
        calls.append(url)
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ConfigError) as error:
        resolve_weights("mobilenet_v3_small", "DEFAULT")
    message, cached = one_line(error), tmp_path / "checkpoints" / "mobilenet_v3_small-047dcff4.pth"
    for way_out in (calls[0], str(cached), "describe.visual_weights = FILE.pth", "visual_model = hog_color"):
        assert way_out in message

    def online(url, to, hash_prefix, **_):
        assert hash_prefix == "047dcff4"
        calls.append(url)
        cached.write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", online)
    assert [resolve_weights("mobilenet_v3_small", "DEFAULT") for _ in range(2)] == [cached, cached]
    assert len(calls) == 2


def test_network_on_real_pictures(shared_data):
    weights = shared_data / "weights" / "mobilenet_v2-imagenet.pth"
    descriptor = load_visual_descriptor("mobilenet_v2", weights)
    assert nearest_of_same_category(shared_data, descriptor) > 0.85


def test_classical_is_better_than_chance_on_real_pictures(shared_data):
    assert nearest_of_same_category(shared_data, load_visual_descriptor(HOG_COLOR, None)) > 2 / 6


def nearest_of_same_category(shared_data, descriptor) -> float:
    """Share of the held-out photographs whose nearest other one shows the same thing."""
    files = sorted((shared_data / "collection" / "queries").glob("*/*"))
    pictures = np.stack([as_normalised(Image.open(f).convert("RGB")) for f in files])
    rows = l2_normalise(descriptor.describe(pictures))
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -np.inf)
    category = np.array([f.parent.name for f in files])
    return float((category[similarity.argmax(axis=1)] == category).mean())


def as_normalised(picture: Image.Image) -> np.ndarray:
    """As pictures reach a descriptor: shorter side scaled to 256, then the centre 224 x 224."""
    scale = 256 / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
    return np.asarray(picture.crop((left, top, left + 224, top + 224)))


def test_classical_parts_have_equal_say():
    descriptor = load_visual_descriptor(HOG_COLOR, None)
    rows = descriptor.describe(PICTURES)
    assert rows.shape == (3, descriptor.dimension) and rows.dtype == np.float32
    for part in (slice(0, 324), slice(324, 868), slice(868, None)):
        np.testing.assert_allclose(np.linalg.norm(rows[:, part], axis=1), 1, rtol=1e-5)
    # Without edges there are no outlines; nothing is NaN.
    black = descriptor.describe(np.zeros((1, 50, 50, 3), np.uint8))
    assert np.isfinite(black).all() and not black[:, :324].any()
    assert descriptor.describe(PICTURES[:0]).shape == (0, descriptor.dimension)
    assert len(descriptor.model_hash) == 64 and descriptor.model_hash == model_hash(HOG_COLOR, None)


def test_classical_tells_colours_and_outlines_apart():
    descriptor = load_visual_descriptor(HOG_COLOR, None)
    stripes = np.zeros((224, 224, 3), np.uint8)
    stripes[:, ::2] = stripes[:, 1::2] = 40
    stripes[:, (np.arange(224) // 16) % 2 == 0] = (200, 30, 30)
    red, across = stripes, stripes.transpose(1, 0, 2)
    blue = stripes[..., ::-1]
    again = np.clip(stripes.astype(int) + 6, 0, 255).astype(np.uint8)
    rows = descriptor.describe(np.stack([red, again, blue, across]))
    distance = np.linalg.norm(rows - rows[0], axis=1)
    assert distance[1] < distance[2] and distance[1] < distance[3]


def test_networks_come_without_torchs_compiler() -> None:
    program = (
        "import sys; import avlib.descriptors.network; import torch, torchvision\n"
        "assert 'triton' not in sys.modules and 'torch._dynamo' not in sys.modules\n"
        "boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])\n"
        "assert torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), boxes, 2).shape == (1, 1, 2, 2)\n"
        "import torch._dynamo.utils\n"
        "assert torch._dynamo.utils.is_compile_supported\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_torchvision_that_asks_torchs_compiler_more_gets_it() -> None:
    program = (
        "import sys, types; import avlib.descriptors.quick_torchvision as quick\n"
        "class Mute(types.ModuleType):\n"
        "    def __setattr__(self, name, value):\n"
        "        if name != 'is_compile_supported': super().__setattr__(name, value)\n"
        "quick.ModuleType = Mute\n"
        "quick.import_torchvision().models.get_model('alexnet', weights=None)\n"
        "assert not isinstance(sys.modules['torch._dynamo.utils'], Mute)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
