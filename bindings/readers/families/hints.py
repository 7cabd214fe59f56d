"""What shapes do not tell of a transformer: numbers of heads, and whether its head is the embedding again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netspectra.errors import GraphError

__all__ = ["Hints", "read_config"]

_LONGEST_CONFIG = 1 << 20
_MOST_HEADS = 1 << 16
_KEYS = {
    "n_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "n_kv_heads": ("num_key_value_heads", "n_kv_heads"),
    "head_size": ("head_dim",),
}


@dataclass(frozen=True)
class Hints:
    """Numbers of heads, None where nobody said.

    Attributes
    ----------
    n_heads, n_kv_heads, head_size : int or None
    tied : bool or None
        Whether the output layer is the token embedding.
    model_type : str
        As ``config.json`` calls it.
    heads_matter : bool
        Whether heads become nodes, so that their number must be known.
    """

    n_heads: int | None = None
    n_kv_heads: int | None = None
    head_size: int | None = None
    tied: bool | None = None
    model_type: str = ""
    heads_matter: bool = False

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any] | None = None,
        *,
        n_heads: int | None = None,
        n_kv_heads: int | None = None,
        heads_matter: bool = False,
    ) -> "Hints":
        """Hints of a configuration and of the caller, who is right where they differ.

        Raises
        ------
        GraphError
            If a number of heads is no positive integer.
        """
        told = {} if config is None else dict(config)
        found = {name: next((told[key] for key in keys if told.get(key)), None) for name, keys in _KEYS.items()}
        found |= {
            name: value for name, value in (("n_heads", n_heads), ("n_kv_heads", n_kv_heads)) if value is not None
        }
        for name, value in found.items():
            if value is not None and (
                not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _MOST_HEADS
            ):
                msg = f"{name} must be a positive integer, got {value!r}"
                raise GraphError(msg)
        tied, kind = told.get("tie_word_embeddings"), told.get("model_type")
        return cls(
            **found,
            tied=tied if isinstance(tied, bool) else None,
            model_type=kind if isinstance(kind, str) else "",
            heads_matter=heads_matter,
        )

    def split(self, n_query: int, n_key: int, what: str, head_size: int | None = None) -> tuple[int, int, int]:
        """Return (heads, heads of keys and values, size of a head); one head where nothing depends on it.

        Raises
        ------
        GraphError
            If they cannot be known, or what was said does not fit the shapes.
        """
        size = head_size or self.head_size
        n_heads = self.n_heads or (n_query // size if size else None)
        if n_heads is None and self.n_kv_heads is not None and n_key % self.n_kv_heads == 0:
            n_heads = n_query * self.n_kv_heads // n_key
        if n_heads is None:
            if n_query == n_key and not self.heads_matter:
                return 1, 1, n_query
            msg = (
                f"{what}: the number of attention heads cannot be known from shapes (queries {n_query}, keys {n_key}); "
                "pass n_heads=..., or keep the model's config.json beside the file"
            )
            raise GraphError(msg)
        size, rest = divmod(n_query, n_heads)
        n_kv, rest_kv = divmod(n_key, max(size, 1))
        wrong = rest or rest_kv or not n_kv or n_heads % n_kv or (self.n_kv_heads or n_kv) != n_kv
        if wrong:
            msg = (
                f"{what}: {n_query} query and {n_key} key channels are not those of n_heads={n_heads}, "
                f"n_kv_heads={self.n_kv_heads or 'as many as fit'}; check the numbers of heads"
            )
            raise GraphError(msg)
        return n_heads, n_kv, size


def read_config(folder: Path) -> dict[str, Any]:
    """Return what ``config.json`` in a folder says, nothing where there is none that can be read."""
    path = folder / "config.json"
    try:
        if not path.is_file() or path.stat().st_size > _LONGEST_CONFIG:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    text = content.get("text_config")
    return {**content, **text} if isinstance(text, dict) else content
