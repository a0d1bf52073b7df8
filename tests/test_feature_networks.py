"""Feature networks: sizes, files, weights that cannot be had."""

import numpy as np
import pytest
import torch
from torchvision.models import Inception_V3_Weights, inception_v3

from s2igan import BadInput
from s2igan.evaluation.feature_networks import (
    FIDInception,
    InceptionV3,
    ProxyNetwork,
    extract,
    fid_network,
    fold_norms,
    freeze,
    load_network,
    make_proxy,
    save_network,
)
from s2igan.training.feature_networks import contrastive_loss, train_proxy, zoomed


def test_a_saved_proxy_comes_back_frozen(tmp_path):
    torch.manual_seed(0)
    net = freeze(ProxyNetwork(7, {"colour": 3, "size": 2}))
    save_network(net, tmp_path / "net.safetensors")
    again = load_network(tmp_path / "net.safetensors")
    images = torch.rand(3, 3, 32, 32)
    assert torch.allclose(net(images), again(images), atol=1e-5) and net(images).shape == (3, 128)
    assert set(again.attributes) == {"colour", "size"} and again.classify.out_features == 7
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    images.requires_grad_()
    again(images).sum().backward()
    assert images.grad.abs().sum() > 0  # the generator learns through it
    assert again(torch.rand(2, 3, 64, 64)).shape == again(torch.rand(2, 3, 8, 8)).shape == (2, 128)
    with pytest.raises(BadInput, match="run 01_data"):
        load_network(tmp_path / "none.safetensors")


def test_inception_has_the_papers_features_and_its_file_comes_back(tmp_path):
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="meaningless"):
        net = freeze(InceptionV3("random"))
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    features = net(images)
    assert features.shape == (2, 2048) and net.classify(features).shape == (2, 1000)
    save_network(net, tmp_path / "net.safetensors")
    assert torch.allclose(load_network(tmp_path / "net.safetensors")(images), features, rtol=1e-3, atol=1e-5)


def test_folded_norms_change_nothing():
    torch.manual_seed(0)
    net = ProxyNetwork(2, {})
    net(torch.randn(64, 3, 32, 32) * 2 + 1)  # statistics that are not 0 and 1
    for norm in (layer for layer in net.trunk if isinstance(layer, torch.nn.BatchNorm2d)):
        torch.nn.init.normal_(norm.weight, 1, 0.5)
        torch.nn.init.normal_(norm.bias)
    images = torch.randn(4, 3, 32, 32)
    expected = freeze(net)(images)
    folded = fold_norms(net)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
    assert expected.std() > 0.01 and torch.allclose(folded(images), expected, atol=1e-5)


def test_weights_from_a_path_or_one_line_that_says_where_to_get_them(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match=r"data_backbone_weights: .* does not exist"):
        InceptionV3(str(tmp_path / "absent.pth"))
    with pytest.warns(UserWarning):
        source = InceptionV3("random")
    state = {f"fc.{k}": v for k, v in source.classify.state_dict().items()}
    official = {**source.net.state_dict(), **state}
    torch.manual_seed(1)
    whole = inception_v3(weights=None, init_weights=False).state_dict()
    torch.save({name: official.get(name, tensor) for name, tensor in whole.items()}, tmp_path / "inception.pth")
    images = torch.rand(1, 3, 32, 32)
    loaded, original = freeze(InceptionV3(str(tmp_path / "inception.pth"))), freeze(source)
    assert torch.allclose(loaded(images), original(images))

    def offline(*arguments, **named):
        raise OSError("no route to host")

    monkeypatch.setattr(type(Inception_V3_Weights.IMAGENET1K_V1), "get_state_dict", offline)
    with pytest.raises(BadInput, match=r"could not be fetched.*inception_v3.*data_backbone_weights"):
        InceptionV3("imagenet")


def test_extract_works_in_batches_and_crops_the_middle():
    torch.manual_seed(0)
    net = freeze(ProxyNetwork(2, {}))
    images = np.random.default_rng(0).integers(0, 256, (5, 38, 38, 3), dtype=np.uint8)
    whole = extract(net, images, 32)
    assert whole.shape == (5, 128)
    assert torch.allclose(extract(net, images, 32, batch=2), whole, atol=1e-5)
    middle = torch.tensor(images[:, 3:35, 3:35]).permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(net(middle), whole, atol=1e-5)


def test_fid_features_are_pytorch_fids_own(tmp_path, monkeypatch):
    import pytorch_fid.inception

    torch.manual_seed(0)
    state = FIDInception("random").net.state_dict()
    fc = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save({**state, **fc}, tmp_path / "fid.pth")
    net = freeze(FIDInception(str(tmp_path / "fid.pth")))
    monkeypatch.setattr(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: {**state, **fc})
    described = [(name, type(part)) for name, part in pytorch_fid.inception.fid_inception_v3().named_modules()]
    assert [(name, type(part)) for name, part in fid_network().named_modules()] == described
    theirs = pytorch_fid.inception.InceptionV3([3]).eval()
    images = torch.rand(2, 3, 64, 64)
    expected = theirs(images)[0][:, :, 0, 0]
    found = net(images * 2 - 1)
    assert found.shape == (2, 2048) and torch.allclose(found, expected, rtol=1e-3, atol=1e-5)
    save_network(net, tmp_path / "net.safetensors")
    assert torch.allclose(load_network(tmp_path / "net.safetensors")(images * 2 - 1), found, rtol=1e-3, atol=1e-4)
    (tmp_path / "other.pth").write_bytes(b"something else")
    with pytest.raises(BadInput, match=r"data_fid_weights: .*other.pth is not pytorch-fid's"):
        FIDInception(str(tmp_path / "other.pth"))
    monkeypatch.setattr(
        torch.hub, "load_state_dict_from_url", lambda *_, **__: (_ for _ in ()).throw(OSError("no route"))
    )
    with pytest.raises(BadInput, match=r"could not be fetched.*data_fid_weights"):
        FIDInception("pytorch-fid")


@pytest.mark.parametrize("learns", ["attributes", "classes", "none"])
def test_a_proxy_learns_from_what_it_is_told(learns, world):
    store = world.store
    before = make_proxy(store, 0)
    net = make_proxy(store, 0)
    said = []
    train_proxy(
        net, store, store.image_ids_of("train"), size=16, steps=4, batch=8, flip=False, seed=0, learns=learns,
        progress=said.append,
    )  # fmt: skip
    changed = {name for name, p in net.state_dict().items() if not torch.equal(p, before.state_dict()[name])}
    assert any(name.startswith("trunk") for name in changed) and len(said) == 1
    assert any(name.startswith("attributes") for name in changed) == (learns == "attributes")
    assert any(name.startswith("classify") for name in changed) == (learns != "none")


def test_the_contrastive_loss_in_closed_form():
    a = torch.eye(4)
    t = 0.2
    # Of the seven other views one is equal and six are orthogonal.
    assert contrastive_loss(a, a, t) == pytest.approx(np.log(np.exp(1 / t) + 6) - 1 / t, rel=1e-4)
    assert contrastive_loss(torch.ones(4, 3), torch.ones(4, 3), t) == pytest.approx(np.log(7), rel=1e-5)


def test_zoomed_crops_lie_inside_the_image():
    rows = torch.linspace(-1, 1, 32)[None, None, :, None].expand(64, 3, 32, 32)
    views = zoomed(rows, np.random.default_rng(0))
    assert views.shape == rows.shape and views.min() >= -1 and views.max() <= 1
    heights = views[:, 0, -1, 0] - views[:, 0, 0, 0]  # how much of the image's height a view shows
    assert 0.7 < heights.min() < 1.0 < heights.max() <= 2.0
    assert torch.equal(zoomed(rows, np.random.default_rng(0)), views)
