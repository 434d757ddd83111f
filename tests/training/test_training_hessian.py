"""Eigenvalues from products with vectors, judged by matrices whose eigenvalues are known."""

import pytest
import torch

from bnbench.training.measures.hessian import hessian_product, spectrum


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def matrices(*eigenvalues: list[float]) -> torch.Tensor:
    """(K, P, P), each in axes of its own."""
    turned = [torch.linalg.qr(draw(k, len(row), len(row))).Q for k, row in enumerate(eigenvalues)]
    diagonals = [torch.diag(torch.tensor(row, dtype=torch.float64)) for row in eigenvalues]
    return torch.stack([q @ d @ q.T for q, d in zip(turned, diagonals, strict=True)])


def found(H: torch.Tensor, steps: int, probes: int = 2):
    K, P, _ = H.shape
    product = lambda v: torch.bmm(H, v.unsqueeze(2)).squeeze(2)  # noqa: E731
    return spectrum(product, draw(9, K, P), [draw(10 + i, K, P) for i in range(probes)], steps)


def test_as_many_steps_as_parameters_give_the_dense_eigenvalues():
    H = draw(0, 3, 12, 12)
    H = H + H.transpose(1, 2)
    dense = torch.linalg.eigvalsh(H)
    lanczos = found(H, 12)
    torch.testing.assert_close(lanczos.largest, dense[:, -1])
    torch.testing.assert_close(lanczos.smallest, dense[:, 0])
    torch.testing.assert_close(lanczos.mean, dense.mean(1))


def test_a_few_steps_find_eigenvalues_that_stand_out():
    bulk = torch.linspace(0, 1, 198, dtype=torch.float64).tolist()
    lanczos = found(matrices([*bulk, -3.0, 10.0], [*bulk, -0.5, 300.0]), 16)
    assert lanczos.largest.tolist() == pytest.approx([10, 300], rel=1e-6)
    assert lanczos.smallest.tolist() == pytest.approx([-3, -0.5], rel=1e-2)
    means = [(99 + 7) / 200, (99 + 299.5) / 200]
    assert lanczos.mean.tolist() == pytest.approx(means, rel=0.15)
    assert lanczos.condition.tolist() == pytest.approx([10 / means[0], 300 / means[1]], rel=0.15)


def test_the_mean_is_right_on_average_where_lanczos_sees_little():
    bulk = torch.linspace(1, 2, 60, dtype=torch.float64).tolist()
    lanczos = found(matrices(bulk), 3, probes=400)
    assert lanczos.mean.item() == pytest.approx(1.5, rel=0.01)


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_eigenvalues_that_repeat_do_not_end_the_search(steps):
    lanczos = found(matrices([2.0] * 8, [0.0] * 7 + [5.0]), steps)
    assert lanczos.largest.tolist() == pytest.approx([2, 5])
    assert lanczos.smallest.tolist() == pytest.approx([2, 0], abs=1e-9)
    assert lanczos.mean.tolist() == pytest.approx([2, 5 / 8])
    assert lanczos.condition.tolist() == pytest.approx([1, 8])


def test_products_that_are_no_symmetric_matrix_s_give_no_numbers():
    H = matrices([float(i) for i in range(40)], [float(i) for i in range(40)])
    calls = []

    def product(v: torch.Tensor) -> torch.Tensor:
        calls.append(v)
        image = torch.bmm(H, v.unsqueeze(2)).squeeze(2)
        image[1] += (len(calls) == wrong) * draw(len(calls), 40)
        return image

    for wrong in range(1, 9):  # whichever of the six products of Lanczos or of the two probes it is
        calls.clear()
        result = spectrum(product, draw(9, 2, 40), [draw(10, 2, 40), draw(11, 2, 40)], 6)
        assert len(calls) == 8
        assert [torch.isnan(value).tolist() for value in (*result, result.condition)] == [[False, True]] * 4, wrong


def test_a_flat_loss_and_one_that_curves_down_have_no_condition():
    condition = found(matrices([0.0] * 6, [-1.0] * 5 + [1.0]), 6).condition
    assert torch.isnan(condition).all()


def test_products_are_differences_of_gradients():
    H, at = matrices([1.0, -2.0, 30.0, 4.0], [5.0, 6.0, 7.0, 0.1]), draw(3, 2, 4)
    v = draw(4, 2, 4)
    v = v / v.norm(dim=1, keepdim=True)
    cubic = lambda w: torch.bmm(H, w.unsqueeze(2)).squeeze(2) + w.square()  # noqa: E731
    expected = torch.bmm(H, v.unsqueeze(2)).squeeze(2) + 2 * at * v
    torch.testing.assert_close(hessian_product(cubic, at)(v), expected, rtol=1e-4, atol=1e-4)
