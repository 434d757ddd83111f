"""The optimizers of packs, judged to the bit by torch.optim's fused ones on the tensors of each trial alone."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bnbench.config import ConfigError, OptimizerConfig, OptimizerName
from bnbench.config.folder import conf_dir
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.optimizers.per_trial import PackOptimizer, make_optimizer, optimizer_class

SHAPES = [(5, 3), (7,), (4, 3, 3, 3), (1, 1), (33, 17)]
STEPS = 20
LRS = [0.1, 0.003, 1.0, 1e-8, 0.05]
CASES = {
    "sgd": {"name": OptimizerName.sgd},
    "momentum": {"name": OptimizerName.momentum},
    "nesterov": {"name": OptimizerName.momentum, "nesterov": True},
    "adam": {"name": OptimizerName.adam},
    "adamw": {"name": OptimizerName.adamw},
}


def configs(case: str, K: int = 5) -> list[OptimizerConfig]:
    """K configurations that differ in every hyperparameter that may vary within a pack."""
    return [
        OptimizerConfig(
            **CASES[case],
            lr=LRS[k],
            momentum=[0.9, 0.1, 0.5, 0.99, 0.7][k],
            beta1=[0.9, 0.5, 0.0, 0.95, 0.8][k],
            beta2=[0.999, 0.9, 0.99, 0.5, 0.95][k],
            weight_decay=[0.0, 0.1, 1e-4, 0.01, 0.5][k],
            eps=1e-7,
        )
        for k in range(K)
    ]


def torch_optimizer(params: list[nn.Parameter], config: OptimizerConfig, lr: float) -> torch.optim.Optimizer:
    return optimizer_class(config.name).torch_optimizer(params, config, lr, fused=True)


def random(shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def stacked(dtype: torch.dtype, K: int = 5) -> list[nn.Parameter]:
    """Parameters of K trials; the 4-D one is stored as a pack stores conv weights."""
    values = [random((K, *shape), i, dtype) for i, shape in enumerate(SHAPES)]
    values[2] = values[2].permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    return [nn.Parameter(value) for value in values]


def set_grads(params: list[nn.Parameter], step: int) -> list[torch.Tensor]:
    grads = [random(tuple(p.shape), 1000 * step + i, p.dtype) for i, p in enumerate(params)]
    for p, grad in zip(params, grads, strict=True):
        p.grad = grad  # for the 4-D parameter it has another memory layout than the parameter
    return grads


def test_every_optimizer_has_tests_and_a_configuration_file():
    with_test_file = {file.stem.removeprefix("test_optimizers_") for file in Path(__file__).parent.glob("test_*.py")}
    assert with_test_file.union(case["name"] for case in CASES.values()) >= {*OPTIMIZERS}
    assert {file.stem for file in (conf_dir() / "optimizer").glob("*.yaml")} == {*OPTIMIZERS}


def test_an_unknown_optimizer_is_answered_with_the_allowed_names():
    with pytest.raises(ConfigError, match=f"^optimizer=adagrad is unknown; allowed: {', '.join(OPTIMIZERS)}$"):
        make_optimizer(stacked(torch.float32), [OptimizerConfig(name="adagrad")] * 5)


def test_an_optimizer_that_torch_lacks_cannot_be_compared_with_torch_s():
    with pytest.raises(ConfigError, match=r"^torch has no optimizer=sgd, to compare bnbench's with$"):
        PackOptimizer.torch_optimizer(stacked(torch.float32), OptimizerConfig(), 0.1)


@pytest.mark.parametrize("case", CASES)
def test_an_optimizer_keeps_as_many_tensors_as_its_entry_says(case):
    params = stacked(torch.float32)
    optimizer = make_optimizer(params, configs(case))
    set_grads(params, 0)
    optimizer.step()
    for p in params:
        buffers = [value for value in optimizer.state[p].values() if value.shape == p.shape]
        assert len(buffers) == OPTIMIZERS[CASES[case]["name"]].states


@pytest.mark.parametrize("key", [f.name for f in fields(OptimizerConfig) if not f.name.startswith(("name", "lr_"))])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_key_changes_an_update_exactly_if_the_entry_says_that_it_is_used(name, key):
    """A trial's identity holds the keys that its optimizer uses: another one must not change its numbers."""
    usual = OptimizerConfig(name=OptimizerName[name], lr=0.1, weight_decay=0.1)
    values = {"lr": 0.2, "nesterov": True, "eps": 0.1}
    results = []
    for config in (usual, replace(usual, **{key: values.get(key, 0.5)})):
        params = stacked(torch.float64, 1)
        optimizer = make_optimizer(params, [config])
        for step in range(3):
            set_grads(params, step)
            optimizer.step()
        results.append(params)
    assert same(*results) == (key not in OPTIMIZERS[name].keys)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_give_each_slot_the_bits_of_torchs_fused_update(case, dtype):
    params = stacked(dtype)
    optimizer = make_optimizer(params, configs(case))
    lone = [[nn.Parameter(p.detach()[k].clone()) for p in params] for k in range(5)]
    judges = [torch_optimizer(ps, config, config.lr) for ps, config in zip(lone, configs(case), strict=True)]
    for step in range(STEPS):
        grads = set_grads(params, step)
        optimizer.set_lrs([lr / (1 + step) for lr in LRS])  # a schedule
        optimizer.step()
        for k, judge in enumerate(judges):
            judge.param_groups[0]["lr"] = optimizer.lrs[k]
            for p, grad in zip(lone[k], grads, strict=True):
                p.grad = torch.empty_like(p).copy_(grad[k])  # the fused kernels need the parameter's memory layout
            judge.step()
            for i, p in enumerate(lone[k]):
                assert torch.equal(params[i][k], p), (step, k, SHAPES[i])
    for k, judge in enumerate(judges):
        for i, p in enumerate(lone[k]):
            state = optimizer.state[params[i]]
            for name in ("momentum_buffer", "exp_avg", "exp_avg_sq"):
                if judge.state[p].get(name) is not None:
                    assert torch.equal(state[name][k], judge.state[p][name]), (name, k)


@pytest.mark.parametrize("case", CASES)
def test_the_update_is_that_of_torch_s_default_optimizer_up_to_rounding(case):
    params = stacked(torch.float64)
    optimizer = make_optimizer(params, configs(case))
    lone = [[nn.Parameter(p.detach()[k].clone()) for p in params] for k in range(5)]
    for k, config in enumerate(configs(case)):
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.get(case, torch.optim.SGD)
        options = {"lr": config.lr, "weight_decay": config.weight_decay}
        if case in ("momentum", "nesterov"):
            options |= {"momentum": config.momentum, "nesterov": case == "nesterov"}
        elif case != "sgd":
            options |= {"betas": (config.beta1, config.beta2), "eps": config.eps}
        judge = kind(lone[k], **options)
        for step in range(STEPS):
            for p, grad in zip(lone[k], set_grads(params, step), strict=True):
                p.grad = grad[k].clone()
            judge.step()
    for step in range(STEPS):
        set_grads(params, step)
        optimizer.step()
    for k in range(5):
        for i, p in enumerate(lone[k]):
            torch.testing.assert_close(params[i].detach()[k], p.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_frozen_slot_keeps_its_bits_and_changes_those_of_no_other(case):
    runs = []
    for frozen in (None, 0, 2, 4):
        params = stacked(torch.float32)
        optimizer = make_optimizer(params, configs(case))
        for step in range(8):
            if step == 3 and frozen is not None:
                optimizer.active[frozen] = False
                before = slot_state(optimizer, frozen)
            set_grads(params, step)
            if step >= 3 and frozen is not None:
                for p in params:
                    p.grad[frozen] = torch.nan
            optimizer.step()
        runs.append([slot_state(optimizer, k) for k in range(5)])
        if frozen is not None:
            assert same(runs[-1][frozen], before)
            assert all(same(runs[-1][k], runs[0][k]) for k in range(5) if k != frozen)
            assert not same(runs[-1][frozen], runs[0][frozen])


def slot_state(optimizer: PackOptimizer, slot: int) -> list[torch.Tensor]:
    """Copies of the parameters of a slot and of the buffers that the optimizer keeps for them."""
    params = optimizer.param_groups[0]["params"]
    buffers = [value for p in params for value in optimizer.state[p].values()]
    return [value.detach()[slot].clone() for value in [*params, *buffers]]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_one_slots_learning_rate_or_gradient_does_not_reach_another(case, poison):
    results = []
    for poisoned in (False, True):
        params = stacked(torch.float32)
        optimizer = make_optimizer(params, configs(case))
        if poisoned:
            optimizer.set_lrs([*LRS[:3], poison, *LRS[4:]])
        for step in range(3):
            set_grads(params, step)
            if poisoned:
                for p in params:
                    p.grad[3] = poison
            optimizer.step()
        results.append([slot_state(optimizer, k) for k in (0, 1, 2, 4)])
    assert all(same(healthy, poisoned) for healthy, poisoned in zip(*results, strict=True))


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_slot_with_momentum_zero_is_plain_gradient_descent(nesterov):
    configs_with_momentum = [
        OptimizerConfig(name=OptimizerName.momentum, momentum=momentum, nesterov=nesterov, lr=0.1)
        for momentum in (0.9, 0.0, 0.5)
    ]
    params, plain = stacked(torch.float32, 3), stacked(torch.float32, 3)
    optimizers = [make_optimizer(params, configs_with_momentum), make_optimizer(plain, [OptimizerConfig(lr=0.1)] * 3)]
    for step in range(3):
        for optimizer, ps in zip(optimizers, (params, plain), strict=True):
            set_grads(ps, step)
            optimizer.step()
    for p, q in zip(params, plain, strict=True):
        assert torch.equal(p[1], q[1])
        assert not torch.equal(p[0], q[0])


@pytest.mark.parametrize("case", CASES)
def test_a_parameter_that_no_gradient_reached_is_left_alone_as_in_torch(case):
    """Judge: torch.optim on the tensors of each trial alone, to the bit. A forward may leave layers out."""
    params = stacked(torch.float32)
    optimizer = make_optimizer(params, configs(case))
    lone = [[nn.Parameter(p[k].detach().clone()) for p in params] for k in range(5)]
    # An optimizer for each parameter: torch's fused SGD fails if some parameters have no momentum buffer yet.
    judges = [torch_optimizer([p], c, c.lr) for ps, c in zip(lone, configs(case), strict=True) for p in ps]
    for step in range(6):
        set_grads(params, step)
        for i, p in enumerate(params):
            for lone_params in lone:
                lone_params[i].grad = None
            if (step + i) % 3 == 0 or (step == 4 and i < 4):
                p.grad = None
                continue
            for k, lone_params in enumerate(lone):
                lone_params[i].grad = torch.empty_like(lone_params[i]).copy_(p.grad[k])
        optimizer.step()
        for judge in judges:
            judge.step()
    for i, p in enumerate(params):
        for k, lone_params in enumerate(lone):
            assert torch.equal(p[k], lone_params[i])


def test_a_frozen_parameter_is_not_updated():
    params = stacked(torch.float32)
    params[1].requires_grad_(False)
    before = params[1].clone()
    optimizer = make_optimizer(params, configs("adamw"))
    set_grads(params, 0)
    optimizer.step()
    assert torch.equal(params[1], before)


def test_a_closure_is_evaluated_with_gradients():
    params = [nn.Parameter(torch.ones(2, 3))]
    optimizer = make_optimizer(params, [OptimizerConfig(lr=0.5)] * 2)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = params[0].sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 6
    assert torch.equal(params[0].detach(), torch.full((2, 3), 0.5))


def test_zero_grad_clears_the_gradients():
    params = stacked(torch.float32)
    optimizer = make_optimizer(params, configs("adam"))
    set_grads(params, 0)
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)
