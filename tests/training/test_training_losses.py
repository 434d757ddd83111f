"""The losses of a pack, judged by torch.nn.functional on each trial's own logits, in double precision."""

import pytest
import torch
import torch.nn.functional as F

from bnbench.config import Loss
from bnbench.training.losses import correct, example_losses


def logits_and_labels(K: int, classes: int, N: int, scale: float = 3) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(K, classes, N, generator=g, dtype=torch.float64)
    return logits, torch.randint(0, classes, (K, N), generator=g)


def judge(logits: torch.Tensor, labels: torch.Tensor, loss: Loss) -> torch.Tensor:
    """(N,) losses of one trial's (N, classes) logits."""
    if loss == Loss.softmax:
        return F.cross_entropy(logits, labels, reduction="none")
    hot = F.one_hot(labels, logits.shape[1]).double()
    return F.binary_cross_entropy_with_logits(logits, hot, reduction="none").mean(1)


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("shape", [(2, 10, 7), (3, 4, 1), (1, 2, 65), (5, 3, 128)])
def test_losses_and_gradients_are_those_of_torch_for_each_trial(loss, shape):
    logits, labels = logits_and_labels(*shape)
    logits.requires_grad_()
    weight = torch.rand(shape[0], shape[2], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    losses = example_losses(logits, labels, loss)
    (grad,) = torch.autograd.grad((losses * weight).sum(), logits)
    for k in range(shape[0]):
        lone = logits.detach()[k].t().clone().requires_grad_()
        expected = judge(lone, labels[k], loss)
        torch.testing.assert_close(losses[k], expected, rtol=1e-12, atol=1e-12)
        (expected_grad,) = torch.autograd.grad((expected * weight[k]).sum(), lone)
        torch.testing.assert_close(grad[k], expected_grad.t(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", Loss)
def test_gradients_are_those_of_finite_differences(loss):
    logits, labels = logits_and_labels(2, 4, 3)
    assert torch.autograd.gradcheck(lambda z: example_losses(z, labels, loss), logits.requires_grad_())


@pytest.mark.parametrize("loss", Loss)
def test_large_logits_give_finite_losses_and_gradients(loss):
    logits, labels = logits_and_labels(2, 4, 6, scale=300)
    logits.requires_grad_()
    losses = example_losses(logits, labels, loss)
    (grad,) = torch.autograd.grad(losses.sum(), logits)
    assert grad.isfinite().all()
    for k in range(2):
        # Beyond 20, torch's softplus returns its argument: off by less than exp(-20) = 2.1e-9.
        torch.testing.assert_close(losses[k], judge(logits[k].t(), labels[k], loss), rtol=1e-9, atol=3e-9)


def test_a_flat_guess_costs_log_10_nats_or_log_2_an_output():
    logits, labels = torch.zeros(2, 10, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.int64)
    softmax, sigmoid = (example_losses(logits, labels, loss) for loss in (Loss.softmax, Loss.sigmoid))
    log = torch.tensor([10.0, 2.0], dtype=torch.float64).log()
    torch.testing.assert_close(softmax, log[0].expand(2, 3))
    torch.testing.assert_close(sigmoid, log[1].expand(2, 3))


@pytest.mark.parametrize("loss", Loss)
def test_a_trial_without_finite_logits_leaves_the_others_alone(loss):
    logits, labels = logits_and_labels(3, 5, 9)
    before = example_losses(logits, labels, loss)
    sick = logits.clone()
    sick[1] = torch.nan
    after = example_losses(sick, labels, loss)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not after[1].isfinite().any()


def test_correct_counts_each_trials_right_answers():
    logits = torch.tensor([[[2.0, 0.0, 1.0], [1.0, 3.0, 0.0]], [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])  # (2, 2, 3)
    labels = torch.tensor([[0, 1, 1], [1, 1, 0]])
    assert correct(logits, labels).tolist() == [2, 2]
    assert correct(logits, 1 - labels).tolist() == [1, 1]
