"""Small transformers in the styles of GPT-2, LLaMA, BERT and ViT, and an LSTM classifier."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["GPT2", "Bert", "LSTMClassifier", "Llama", "ViT"]


class Conv1D(nn.Module):
    """GPT-2's dense layer, whose weight is (inputs, outputs)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_out))

    def forward(self, x: Any) -> Any:
        """Layer."""
        flat = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return flat.view((*x.shape[:-1], self.weight.shape[1]))


class GPT2Block(nn.Module):
    """Causal attention of one fused projection, written out; MLP of fourfold width; normalised before."""

    def __init__(self, n: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.ln_1, self.ln_2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.c_attn, self.c_proj = Conv1D(n, 3 * n), Conv1D(n, n)
        self.c_fc, self.mlp_proj = Conv1D(n, 4 * n), Conv1D(4 * n, n)

    def forward(self, x: Any) -> Any:
        """Block."""
        parts = self.c_attn(self.ln_1(x)).split(x.shape[-1], dim=2)
        heads = (*x.shape[:2], self.n_heads, -1)
        query, key, value = (part.view(heads).transpose(1, 2) for part in parts)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        causal = torch.tril(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device))
        scores = torch.where(causal, scores, torch.finfo(scores.dtype).min).softmax(-1)
        x = x + self.c_proj((scores @ value).transpose(1, 2).contiguous().view(x.shape))
        inner = self.c_fc(self.ln_2(x))
        inner = 0.5 * inner * (1.0 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner.pow(3))))
        return x + self.mlp_proj(inner)


class GPT2(nn.Module):
    """Decoder with learned positions and tied embeddings."""

    def __init__(
        self, n: int = 12, n_layers: int = 2, n_heads: int = 3, n_tokens: int = 17, n_positions: int = 8
    ) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(n_tokens, n), nn.Embedding(n_positions, n)
        self.h = nn.ModuleList(GPT2Block(n, n_heads) for _ in range(n_layers))
        self.ln_f = nn.LayerNorm(n)
        self.lm_head = nn.Linear(n, n_tokens, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: Any) -> Any:
        """Logits."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class RMSNorm(nn.Module):
    """Root-mean-square normalisation, written out as LLaMA's is."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n))

    def forward(self, x: Any) -> Any:
        """Layer."""
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * wide.to(x.dtype)


def _rotated(x: Any) -> Any:
    """Rotary embedding of (batch, heads, positions, dimensions)."""
    half = x.shape[-1] // 2
    frequencies = 1.0 / (10_000.0 ** (torch.arange(half, device=x.device).float() / half))
    angles = torch.outer(torch.arange(x.shape[-2], device=x.device).float(), frequencies)
    angles = torch.cat((angles, angles), -1)[None, None]
    turned = torch.cat((-x[..., half:], x[..., :half]), -1)
    return x * angles.cos().to(x.dtype) + turned * angles.sin().to(x.dtype)


class LlamaBlock(nn.Module):
    """Rotary, grouped-query attention; gated MLP."""

    def __init__(self, n: int, n_heads: int, n_kv: int, n_inner: int) -> None:
        super().__init__()
        self.n_heads, self.n_kv, self.n_own = n_heads, n_kv, n // n_heads
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(n), RMSNorm(n)
        self.q_proj, self.o_proj = nn.Linear(n, n, bias=False), nn.Linear(n, n, bias=False)
        self.k_proj = nn.Linear(n, n_kv * self.n_own, bias=False)
        self.v_proj = nn.Linear(n, n_kv * self.n_own, bias=False)
        self.gate_proj, self.up_proj = nn.Linear(n, n_inner, bias=False), nn.Linear(n, n_inner, bias=False)
        self.down_proj = nn.Linear(n_inner, n, bias=False)

    def forward(self, x: Any) -> Any:
        """Block."""
        batch, length, _ = x.shape
        normal = self.input_layernorm(x)
        query = self.q_proj(normal).view(batch, length, self.n_heads, self.n_own).transpose(1, 2)
        key = self.k_proj(normal).view(batch, length, self.n_kv, self.n_own).transpose(1, 2)
        value = self.v_proj(normal).view(batch, length, self.n_kv, self.n_own).transpose(1, 2)
        query, key = _rotated(query), _rotated(key)
        key, value = (self._repeated(part) for part in (key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
        normal = self.post_attention_layernorm(x)
        return x + self.down_proj(functional.silu(self.gate_proj(normal)) * self.up_proj(normal))

    def _repeated(self, part: Any) -> Any:
        batch, n_kv, length, n_own = part.shape
        times = self.n_heads // n_kv
        return part[:, :, None].expand(batch, n_kv, times, length, n_own).reshape(batch, -1, length, n_own)


class Llama(nn.Module):
    """Decoder with its own unembedding."""

    def __init__(
        self, n: int = 16, n_layers: int = 2, n_heads: int = 4, n_kv: int = 2, n_inner: int = 24, n_tokens: int = 19
    ) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(n_tokens, n)
        self.layers = nn.ModuleList(LlamaBlock(n, n_heads, n_kv, n_inner) for _ in range(n_layers))
        self.norm = RMSNorm(n)
        self.lm_head = nn.Linear(n, n_tokens, bias=False)

    def forward(self, tokens: Any) -> Any:
        """Logits."""
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


class BertBlock(nn.Module):
    """Attention of separate projections with a mask; normalised after each sum."""

    def __init__(self, n: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value = nn.Linear(n, n), nn.Linear(n, n), nn.Linear(n, n)
        self.dense, self.norm1 = nn.Linear(n, n), nn.LayerNorm(n)
        self.intermediate, self.output, self.norm2 = nn.Linear(n, 4 * n), nn.Linear(4 * n, n), nn.LayerNorm(n)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Any, mask: Any) -> Any:
        """Block."""
        parts = (
            layer(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        query, key, value = parts
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1]) + mask
        mixed = torch.matmul(self.dropout(scores.softmax(-1)), value).permute(0, 2, 1, 3).flatten(2)
        x = self.norm1(x + self.dropout(self.dense(mixed)))
        return self.norm2(x + self.dropout(self.output(functional.gelu(self.intermediate(x)))))


class Bert(nn.Module):
    """Encoder with token, position and type embeddings, and a pooler."""

    def __init__(
        self, n: int = 12, n_layers: int = 2, n_heads: int = 3, n_tokens: int = 17, n_classes: int = 4
    ) -> None:
        super().__init__()
        self.word, self.position, self.kind = nn.Embedding(n_tokens, n), nn.Embedding(8, n), nn.Embedding(2, n)
        self.norm = nn.LayerNorm(n)
        self.layer = nn.ModuleList(BertBlock(n, n_heads) for _ in range(n_layers))
        self.pooler, self.classifier = nn.Linear(n, n), nn.Linear(n, n_classes)

    def forward(self, tokens: Any) -> Any:
        """Logits of a class."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.norm(self.word(tokens) + self.position(places) + self.kind(torch.zeros_like(tokens)))
        mask = (1.0 - (tokens != 0)[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for layer in self.layer:
            x = layer(x, mask)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


class ViT(nn.Module):
    """Patches, a class token, PyTorch's own encoder layers."""

    def __init__(self, n: int = 12, n_layers: int = 2, n_heads: int = 3, n_classes: int = 5) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, n, 4, 4)
        self.class_token = nn.Parameter(torch.empty(1, 1, n))
        self.pos_embedding = nn.Parameter(torch.empty(1, 17, n))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(n, n_heads, 2 * n, batch_first=True, norm_first=True, activation="gelu")
            for _ in range(n_layers)
        )
        self.ln = nn.LayerNorm(n)
        self.head = nn.Linear(n, n_classes)

    def forward(self, images: Any) -> Any:
        """Logits."""
        x = self.conv_proj(images).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embedding
        for layer in self.layers:
            x = layer(x)
        return self.head(self.ln(x)[:, 0])


class LSTMClassifier(nn.Module):
    """Embedding, two LSTM layers, a dense layer on the last hidden state."""

    def __init__(self, n: int = 6, n_hidden: int = 7, n_tokens: int = 11, n_classes: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, n)
        self.lstm = nn.LSTM(n, n_hidden, num_layers=2, batch_first=True)
        self.fc = nn.Linear(n_hidden, n_classes)

    def forward(self, tokens: Any) -> Any:
        """Logits."""
        _, (hidden, _) = self.lstm(self.embedding(tokens))
        return self.fc(hidden[-1])
