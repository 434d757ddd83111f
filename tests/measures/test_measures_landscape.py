"""Internal covariate shift, smoothness and rank, judged on made-up gradients and functions whose answer is plain."""

import numpy as np
import pytest
import torch

from bnbench.training.measures.rank import soft_rank
from bnbench.training.measures.shift import internal_covariate_shift
from bnbench.training.measures.smoothness import STEP_SIZES, smoothness


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_shift_is_the_distance_and_cosine_of_each_layer_s_gradients_averaged():
    before, after = ([draw(seed + i, 3, 4, 2 + i) for i in range(2)] for seed in (0, 10))
    distance, cosine = internal_covariate_shift(before, after)
    for k in range(3):
        g, h = ([layer[k].numpy().ravel() for layer in layers] for layers in (before, after))
        assert distance[k].item() == pytest.approx(np.mean([np.linalg.norm(b - a) for a, b in zip(g, h, strict=True)]))
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(g, h, strict=True)]
        assert cosine[k].item() == pytest.approx(np.mean(cosines))


@pytest.mark.parametrize(("factor", "distance", "cosine"), [(1, 0, 1), (3, 2, 1), (-1, 2, -1)])
def test_a_gradient_that_only_grows_keeps_its_direction(factor, distance, cosine):
    gradient = draw(0, 2, 5, 3)
    gradient /= gradient.flatten(1).norm(dim=1).view(2, 1, 1)
    found = internal_covariate_shift([gradient], [factor * gradient])
    assert [part.tolist() for part in found] == [pytest.approx([distance] * 2), pytest.approx([cosine] * 2)]


def test_along_an_eigenvector_of_a_quadratic_beta_is_its_eigenvalue():
    curvatures = torch.tensor([0.5, 7.0], dtype=torch.float64)  # two trials, L = c/2 ‖w‖², of which every vector is one
    w, step = draw(0, 2, 6), draw(1, 2, 6)
    c = curvatures.unsqueeze(1)
    points = [w + size * step for size in STEP_SIZES]
    along = [((c * p.square()).sum(1) / 2, [c * p]) for p in points]
    found = smoothness([step], [c * w], along)
    assert found.effective_beta.tolist() == pytest.approx(curvatures.tolist())
    assert found.gradient_range.tolist() == pytest.approx((4 * curvatures * step.norm(dim=1)).tolist())
    losses = np.array([loss.tolist() for loss, _ in along])
    assert found.loss_range.tolist() == pytest.approx(np.ptp(losses, axis=0).tolist())


def test_a_linear_loss_has_no_curvature():
    slope = draw(0, 3, 4)
    found = smoothness([draw(1, 3, 4)], [slope], [(torch.zeros(3), [slope])] * len(STEP_SIZES))
    assert found.effective_beta.tolist() == found.gradient_range.tolist() == [0, 0, 0]


def test_soft_rank_is_that_of_the_eigenvalues():
    features = draw(0, 4, 6, 30) * torch.tensor([1, 5, 1, 1, 0.1, 2], dtype=torch.float64).view(1, 6, 1)
    for k, found in enumerate(soft_rank(features).tolist()):
        eigenvalues = np.linalg.svd(features[k].numpy(), compute_uv=False) ** 2
        assert found == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def test_soft_rank_is_the_rank_of_equal_directions_and_1_of_a_single_one():
    equal = torch.linalg.qr(draw(0, 2, 40, 5)).Q.transpose(1, 2)  # 5 orthonormal rows
    assert soft_rank(equal).tolist() == pytest.approx([5, 5])
    assert soft_rank(100 * equal).tolist() == pytest.approx([5, 5])
    single = draw(1, 2, 5, 1) * draw(2, 2, 1, 40)
    assert soft_rank(single).tolist() == pytest.approx([1, 1])
