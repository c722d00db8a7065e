"""A memory that learns while it reads, one key after the other, by autograd of its inner loss."""

import pytest
import torch
import torch.nn.functional as F

from focused_attention import attention
from focused_attention.attention.view import View
from tests.reference.linear import projected

EXACT = {"rtol": 1e-8, "atol": 1e-8}  # double precision
WINDOW, CHUNK = 4, 3
NAMES = ["titans", "yaad", "moneta", "memora"]
S, TEXT = 11, 5  # keys, the last chunk of which is not full; and queries in cross-attention


def layer(name, use="causal", dims=8, heads=2, plain=False, **settings):
    """In double precision, with all that is learned away from the start.

    `plain` is what the package has: no biases, and no projection of the output.
    """
    torch.manual_seed(0)
    module = attention.build(
        name, dims=dims, heads=heads, causal=use == "causal", cross=use == "cross",
        **{"window": WINDOW, "chunk": CHUNK, "expansion": 2, "forget": 0.2, "rate": 0.3} | settings,
    ).double()  # fmt: skip
    with torch.no_grad():
        module.start += 0.1 * torch.randn(module.start.shape)
        if not module.config.alone:
            module.gain.normal_()
        if plain:
            module.out.weight.copy_(torch.eye(dims))
            for linear in (module.query, module.value, module.out):
                linear.bias.zero_()
    return module


def recalled(name, outlier=0.0, **settings):
    """The mean squared error of 16 values under their keys, not yet read and read 16 times.

    They are drawn from N(0, 1), so that with 15/16 nothing is told apart. In between, one value may
    once be wrong by an outlier.
    """
    torch.manual_seed(0)
    module = attention.build(name, dims=96, heads=8, **settings)
    k, v = torch.randn(2, 8, 16, 12).repeat(1, 1, 16, 1)[:, None]
    heard = v.clone()
    heard[:, :, 250] += outlier
    told = torch.tensor([4.0, -5.0, 1.0])[: module.logits].expand(1, 8, 256, -1)
    view, errors = View(torch.empty(1, 256, 96), 256, 256, cross=True), []
    for rate in (1e-9, module.config.rate):
        module.config.rate = rate
        said = module.remembered(k, k, heard, told, view)
        errors.append((said - v).square().mean().item())
    return errors


def inputs(use, masked, dims=8):
    """x, xa and a mask: padding that ends or begins within a chunk, or a chunk that is hidden."""
    T = TEXT if use == "cross" else S
    x = torch.randn(2, T, dims, dtype=torch.float64, requires_grad=True)
    xa = torch.randn(2, S, dims, dtype=torch.float64, requires_grad=True)
    places = torch.arange(S)
    masks = {
        "none": None,
        "keys": places < torch.tensor([S, 4])[:, None],
        "late": places >= torch.tensor([7, 1])[:, None],
        "hole": (places < CHUNK) | (places >= torch.tensor([2 * CHUNK, 2 * CHUNK + 1])[:, None]),
    }
    return x, xa if use == "cross" else None, masks[masked]


def parts(module, h):
    """W¹, W² and γ of a head as they start, from the parameter that holds them."""
    K = module.dims // module.heads
    U = module.config.expansion * K
    packed = module.start[h]
    return packed[: K * U].view(K, U), packed[K * U : 2 * K * U].view(U, K), packed[2 * K * U :]


def says(W, x):
    """M(x) of one vector."""
    W1, W2, gamma = W
    return x + F.layer_norm(F.gelu(x @ W1) @ W2, x.shape) * (1 + gamma)


def unit(x):
    return x / (x.square().mean() + 1e-6).sqrt()


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def history(module, h, chunks, k, v, told, seen, loss, link):
    """The weights at the start and after each of the chunks, which are lists of positions."""
    A = list(parts(module, h))
    S = [torch.zeros_like(a) for a in A]
    weights = [link(A)]
    for chunk in chunks:
        written = [i for i in chunk if seen[i]]
        if written:
            W, total = weights[-1], [torch.zeros_like(a) for a in A]
            for i in written:
                error = loss(says(W, unit(k[i])) - v[i], told[i])
                theta = module.config.rate * sigmoid(told[i, 0])
                grads = torch.autograd.grad(error, W, create_graph=True)
                total = [t + theta * g for t, g in zip(total, grads, strict=True)]
            mean = torch.stack([told[i] for i in written]).mean(dim=0)
            momentum = getattr(module.config, "momentum", False)
            eta = sigmoid(mean[2]) if momentum else 0.0
            S = [eta * s - t for s, t in zip(S, total, strict=True)]
            A = [(1 - sigmoid(mean[1])) * a + s for a, s in zip(A, S, strict=True)]
        weights.append(link(A))
    return weights


def by_loop(module, x, xa, mask, loss, link=list):
    """The whole layer: `loss` of an error (K,) and a key's logits, `link` from [A] to [W]."""
    source = x if xa is None else xa
    (B, T, _), keys, C, H = x.shape, source.shape[1], module.config.chunk, module.heads
    q, k, v = projected(module, x, xa)
    told = module.tell(source).unflatten(-1, (H, -1))
    seen = torch.ones(B, keys, dtype=torch.bool) if mask is None else mask
    grid = [list(range(i, min(i + C, keys))) for i in range(0, keys, C)]
    rows = []
    for b in range(B):
        for h in range(H):
            of = k[b, :, h], v[b, :, h], told[b, :, h], seen[b], loss, link
            left = history(module, h, grid, *of)
            right = None
            if xa is None and not module.is_causal:
                right = history(module, h, grid[::-1], *of)
            for i in range(T):
                asked = unit(q[b, i, h])
                m = says(left[-1] if xa is not None else left[(i + 1) // C], asked)
                if right is not None:
                    m = (m + says(right[len(grid) - -(-i // C)], asked)) / 2
                if not module.config.alone:
                    near = visible(module, i, seen[b], xa is not None)
                    m = gated(module, h, m, q[b, i, h], k[b, near, h], v[b, near, h])
                rows.append(m)
    return module.out(torch.stack(rows).view(B, H, T, -1).transpose(1, 2).flatten(2))


def visible(module, i, seen, cross):
    """The keys that query i sees: of the window, or all of another sequence."""
    near = range(seen.shape[0]) if cross else range(i - module.config.window, i + 1)
    if not (cross or module.is_causal):
        near = range(i - module.config.window, i + module.config.window + 1)
    return [j for j in near if 0 <= j < seen.shape[0] and seen[j]]


def gated(module, h, m, q, k, v):
    """What a query (K,) reads of the keys (n, K) that it sees, times the gate of m (K,)."""
    y = (k @ q / q.shape[0] ** 0.5).softmax(dim=0) @ v
    return y * 2 * sigmoid(module.gain[h, 0] * unit(m))


def package(module, loss=None):
    """The neural memory of titans-pytorch with the weights of a memory that is alone.

    Its gate for heads is fixed to 1/2, which the layer has not.
    """
    titans = pytest.importorskip("titans_pytorch")
    (D, H), K, C = (module.dims, module.heads), module.dims // module.heads, module.config.chunk
    momentum = getattr(module.config, "momentum", False)
    theirs = titans.NeuralMemory(
        dim=D, dim_head=K, heads=H, chunk_size=C, batch_size=C, pre_rmsnorm=False,
        qk_rmsnorm=True, momentum=momentum, default_step_transform_max_lr=module.config.rate,
        default_model_kwargs={"depth": 2, "expansion_factor": module.config.expansion},
        **({} if loss is None else {"store_memory_loss_fn": loss}),
    ).double()  # fmt: skip
    theirs.q_norm.rmsnorm.eps = theirs.k_norm.rmsnorm.eps = 1e-6
    tell, bias = module.tell.weight.view(H, -1, D), module.tell.bias.view(H, -1)
    starts = [torch.stack(part) for part in zip(*(parts(module, h) for h in range(H)), strict=True)]
    by_name = dict(zip(("model.weights.0", "model.weights.1", "norm.gamma"), starts, strict=True))
    with torch.no_grad():
        for ours, name in (("query", "queries"), ("key", "keys"), ("value", "values")):
            getattr(theirs, f"to_{name}").weight.copy_(getattr(module, ours).weight)
        for i, name in enumerate(("adaptive_step", "decay_factor", "momentum")[: 2 + momentum]):
            linear = getattr(theirs, f"to_{name}")[0]
            linear.weight.copy_(tell[:, i])
            linear.bias.copy_(bias[:, i])
        for name, start in zip(
            theirs.memory_model_parameter_names, theirs.memory_model_parameters, strict=True
        ):
            start.copy_(by_name[name])
        theirs.retrieve_gate[0].weight.zero_()
        theirs.combine_heads.weight.copy_(2 * torch.eye(D))
    return theirs
