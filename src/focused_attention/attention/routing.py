"""Selecting k of n positions with a gradient: what routed attention is built on."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class CoordinateDescent(torch.autograd.Function):
    """Soft top-k: coordinate descent on an entropic dual, https://arxiv.org/abs/1502.04759.

    Every iteration is a_i = eps_i (log k - logsumexp(min(s, -a_{i-1}) / eps_i)): one number a row
    carries the state, so the gradient is written out from those numbers, in the memory of s instead
    of n_iters times as much.
    """

    @staticmethod
    def forward(ctx, s, mask, k, epsilons):
        s = s.masked_fill(~mask, torch.finfo(s.dtype).min / 1e8)
        log_k = torch.log(torch.tensor(float(k), dtype=s.dtype, device=s.device))
        n = mask.sum(dim=-1, keepdim=True).clamp(min=1).expand(*s.shape[:-1], 1)
        duals = [epsilons[0] * (log_k - n.to(s.dtype).log())]
        for eps in epsilons[1:-1]:
            bounded = torch.minimum(s, -duals[-1]).div_(eps)
            duals.append(eps * (log_k - bounded.logsumexp(dim=-1, keepdim=True)))
        scores = (s + duals[-1]).clamp_(max=0).div_(epsilons[-1]).exp_().masked_fill_(~mask, 0.0)
        ctx.save_for_backward(s, mask, scores, *duals)
        ctx.epsilons, ctx.log_k = epsilons, log_k
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        s, mask, scores, *duals = ctx.saved_tensors
        flow = (grad * scores).div_(ctx.epsilons[-1])
        flow.masked_fill_(s + duals[-1] >= 0, 0.0)
        total = flow
        dual = flow.sum(dim=-1, keepdim=True)  # d loss / d a, a number a row
        for i in range(len(duals) - 1, 0, -1):
            eps, free = ctx.epsilons[i], s < -duals[i - 1]
            # the softmax of the iteration, from its own dual: logsumexp = log k - a / eps
            share = torch.minimum(s, -duals[i - 1]).add_(duals[i]).div_(eps).sub_(ctx.log_k).exp_()
            share.mul_(dual)
            moved = share * free
            total = total - moved
            dual = (share - moved).sum(dim=-1, keepdim=True)
        return total.masked_fill(~mask, 0.0), None, None, None


def coordinate_descent(
    s: Tensor,  # (..., n) scores
    k: float,  # how many to select
    *,
    mask: Tensor | None = None,  # bool, broadcastable to s; True = may be selected
    n_iters: int = 20,
    eps: float = 0.03,
    eps_init: float | None = 4.0,
    eps_decay: float = 0.7,
) -> Tensor:
    """Near-binary selection of k of n scores, (..., n) in [0, 1], with a gradient for every score.

    >>> coordinate_descent(torch.tensor([3.0, 1.0, 2.0, 0.0]), 2).round()
    tensor([1., 0., 1., 0.])
    """
    epsilons = [max(eps if eps_init is None else eps_init, eps)]
    for _ in range(n_iters):
        epsilons.append(max(epsilons[-1] * eps_decay, eps))
    if mask is None:
        mask = torch.ones(s.shape[-1], dtype=torch.bool, device=s.device)
    return CoordinateDescent.apply(s, mask, k, tuple(epsilons))
